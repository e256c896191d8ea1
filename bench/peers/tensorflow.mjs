// Images a second that TensorFlow.js trains and evaluates NIN with through Dawn: tensorflow.mjs BATCH. Prints a JSON object.
// Run in the folder whose node_modules holds the packages.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";

const require = createRequire(process.cwd() + "/");
const { create, globals } = await import(require.resolve("webgpu"));
Object.assign(globalThis, globals);
Object.defineProperty(globalThis, "navigator", { value: { gpu: create(["backend=vulkan"]), userAgent: "node" }, configurable: true });
console.warn = () => {}; // it advises packages that would not run on the adapter
const tf = require("@tensorflow/tfjs");
require("@tensorflow/tfjs-backend-webgpu");
if (!(await tf.setBackend("webgpu"))) throw new Error("TensorFlow.js found no WebGPU adapter");
await tf.ready();

const batch = Number(process.argv[2]);
const x = tf.randomNormal([batch, 32, 32, 3]);
const labels = tf.oneHot(tf.randomUniform([batch], 0, 10, "int32"), 10).toFloat();
const variables = [[3, 192, 5], [192, 160, 1], [160, 96, 1], [96, 192, 5], [192, 192, 1], [192, 192, 1], [192, 192, 3], [192, 192, 1], [192, 10, 1]].map(
  ([c, m, k]) => ({ w: tf.variable(tf.randomNormal([k, k, c, m], 0, Math.sqrt(2 / (c * k * k)))), b: tf.variable(tf.zeros([m])) }));

function forward(training) {
  let y = x;
  variables.forEach(({ w, b }, i) => {
    y = tf.relu(tf.add(tf.conv2d(y, w, 1, "same"), b));
    if (i === 2) y = tf.maxPool(y, 3, 2, "same");
    if (i === 5) y = tf.avgPool(y, 3, 2, "same");
    if (training && (i === 2 || i === 5)) y = tf.dropout(y, 0.5);
  });
  return tf.mean(y, [1, 2]);
}

const optimiser = tf.train.momentum(0.01, 0.9);
async function train() {
  const loss = optimiser.minimize(() => tf.losses.softmaxCrossEntropy(labels, forward(true)), true);
  await loss.data();
  loss.dispose();
}
async function infer() {
  const y = tf.tidy(() => forward(false));
  await y.data();
  y.dispose();
}

async function rate(step) {
  await step(); // compiles
  const rates = [], begun = performance.now();
  while (rates.length < 2 || performance.now() - begun < 5000) {
    const start = performance.now();
    await step();
    rates.push((1000 * batch) / (performance.now() - start));
  }
  rates.sort((a, b) => a - b);
  return (rates[Math.floor((rates.length - 1) / 2)] + rates[Math.floor(rates.length / 2)]) / 2;
}

const dawn = JSON.parse(readFileSync(require.resolve("webgpu").replace(/webgpu[\/\\].*$/, "webgpu/package.json"))).version;
console.log(JSON.stringify({ version: `TensorFlow.js ${tf.version.tfjs}, Dawn for Node ${dawn}`, train: await rate(train), infer: await rate(infer) }));
process.exit(0);
