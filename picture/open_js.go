package picture

// dontWait is for pipes, of which a page has none.
const dontWait = 0
