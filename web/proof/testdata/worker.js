// Runs the program with the arguments in the address, and gives what it prints and the files that are wanted to the
// server: ?arg=...&arg=...&file=...
importScripts('fs.js', 'wasm_exec.js');

const wanted = new URLSearchParams(location.search);
const post = (path, body) => fetch(path, {method: 'POST', body});
const printed = {1: [], 2: []};
fs.writeSync = (fd, bytes) => {
  printed[fd].push(bytes.slice());
  return bytes.length;
};

// contents of a file: the functions of fs.js call back at once.
function contents(name) {
  const done = (call, ...args) => {
    let result;
    fs[call](...args, (e, r) => {
      if (e) throw e;
      result = r;
    });
    return result;
  };
  const fd = done('open', name, 0, 0);
  const bytes = new Uint8Array(done('fstat', fd).size);
  done('read', fd, bytes, 0, bytes.length, 0);
  done('close', fd);
  return bytes;
}

(async () => {
  const go = new Go();
  go.argv = ['ninvk', ...wanted.getAll('arg')];
  Object.assign(go.env, surroundings);
  let code = 0;
  go.exit = (c) => {
    code = c;
  };
  await restored;
  const {instance} = await WebAssembly.instantiateStreaming(fetch('ninvk.wasm'), go.importObject);
  await go.run(instance);
  addEventListener('error', (e) => e.preventDefault()); // of timers that the program has left behind
  await post('stdout', new Blob(printed[1]));
  await post('stderr', new Blob(printed[2]));
  if (code === 0) {
    for (const name of wanted.getAll('file')) await post(`file?name=${encodeURIComponent(name)}`, contents(name));
  }
  await post(`exit?code=${code}`, '');
})().catch((e) => post('exit?code=70', String(e.stack ?? e)));
