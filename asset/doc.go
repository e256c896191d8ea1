// Package asset reads files that are part of the program and yet not in it. It is for programs that run in a browser,
// which load such a file when they need it; elsewhere they are embedded, and the package is empty.
package asset
