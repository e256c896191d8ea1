// Runs an ONNX model with ONNX Runtime on the CPU:
//
//     node run.mjs MODEL.onnx INPUT LOGITS SIZE BATCH
//
// INPUT is the values of all images, LOGITS is written with those of the logits, both float32, little-endian,
// row-major. Images are SIZE×SIZE pixels; BATCH of them are given at a time, fewer the last time. The runtime is beside
// this file after `make onnxruntime`.
import { readFileSync, writeFileSync } from "node:fs";
import ort from "onnxruntime-node";

const [model, input, logits, side, count] = process.argv.slice(2);
const size = Number(side), batch = Number(count);
const session = await ort.InferenceSession.create(model);
if (session.inputNames.join() !== "input" || session.outputNames.join() !== "logits")
	throw new Error(`inputs ${session.inputNames}, outputs ${session.outputNames}`);

const raw = readFileSync(input);
const values = new Float32Array(raw.buffer, raw.byteOffset, raw.length / 4);
const image = 3 * size * size;
const parts = [];
for (let at = 0; at < values.length; at += batch * image) {
	const part = values.subarray(at, at + batch * image);
	const x = new ort.Tensor("float32", part, [part.length / image, 3, size, size]);
	const y = (await session.run({ input: x })).logits;
	if (y.dims[0] !== part.length / image) throw new Error(`${part.length / image} images gave logits of ${y.dims}`);
	parts.push(Buffer.from(y.data.buffer, y.data.byteOffset, y.data.byteLength));
}
writeFileSync(logits, Buffer.concat(parts));
