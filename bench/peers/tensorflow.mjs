// Images a second that TensorFlow.js trains and evaluates a network with through Dawn: tensorflow.mjs BATCH SECONDS
// <NETWORK.json. It prints a JSON object. `tensorflow.mjs probe` says whether there is an adapter, by its exit code.
// Run in the folder whose node_modules holds the packages.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { measure } from "./network.mjs";

const require = createRequire(process.cwd() + "/");
const { create, globals } = await import(require.resolve("webgpu"));
Object.assign(globalThis, globals);
const navigator = { gpu: create(["backend=vulkan"]), userAgent: "node" };
Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
console.warn = () => {}; // it advises packages that would not run on the adapter
const tf = require("@tensorflow/tfjs");
require("@tensorflow/tfjs-backend-webgpu");
if (!(await tf.setBackend("webgpu"))) throw new Error("TensorFlow.js found no WebGPU adapter");
await tf.ready();

if (process.argv[2] === "probe") {
  console.log("{}");
  process.exit(0);
}
const [batch, seconds] = process.argv.slice(2).map(Number);
const network = JSON.parse(readFileSync(0, "utf8"));

const manifest = require.resolve("webgpu").replace(/webgpu[\/\\].*$/, "webgpu/package.json");
const version = `TensorFlow.js ${tf.version.tfjs}, Dawn for Node ${JSON.parse(readFileSync(manifest)).version}`;
console.log(JSON.stringify({ version, ...(await measure(tf, network, batch, seconds)) }));
process.exit(0);
