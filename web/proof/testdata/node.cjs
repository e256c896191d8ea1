// Runs a js/wasm program in Node with Dawn: node node.cjs WASM_EXEC FOLDER-OF-webgpu ASSETS PROGRAM.wasm ARGUMENTS...
'use strict';
const fs = require('fs');
const path = require('path');
const {pathToFileURL} = require('url');

const [wasmExec, modules, assets, program, ...args] = process.argv.slice(2);
Object.assign(globalThis, {require, fs, path});
globalThis.readAsset = async (name) => new Uint8Array(fs.readFileSync(path.join(assets, name))).buffer;

(async () => {
  const webgpu = path.join(modules, 'webgpu', 'index.js');
  const {create, globals} = await import(pathToFileURL(webgpu));
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis, 'navigator', {value: {gpu: create([])}, configurable: true});
  require(wasmExec);
  const go = globalThis.running = new Go(); // what it holds is looked at by tests
  go.argv = ['ninvk', ...args];
  go.env = {...process.env};
  go.exit = (code) => process.exit(code);
  const {instance} = await WebAssembly.instantiate(fs.readFileSync(program), go.importObject);
  await go.run(instance);
})().catch((e) => {
  console.error(e);
  process.exit(70);
});
