// Package asset loads files that belong to a program but lie beside it. It is for programs that run in a browser, which
// load such a file when they need it; elsewhere they are embedded, and the package is empty.
package asset
