// Compiles WGSL with Tint, the compiler of Dawn and Chrome, without a GPU:
//
//     node tint.mjs SHADERS.json
//
// SHADERS.json is a list of {"name", "source", "bindings", "pipeline"}; bindings are the kinds of gpu.Kernel in their
// order; with pipeline the kernel must also fit a device with the limits that WebGPU guarantees. For each shader that
// is refused, or that Tint has something to say about, a line goes to stdout: a JSON object {"name", "problems"}; at
// the end {"compiled", "pipelines", "version"}. Dawn for Node is beside this file after `make tint`.
import { readFileSync } from "node:fs";
import { create, globals } from "webgpu";

Object.assign(globalThis, globals);
const shaders = JSON.parse(readFileSync(process.argv[2]));
globalThis.gpu = create(["backend=null"]); // kept from the garbage collector, as the devices need it
const adapter = await gpu.requestAdapter();
const device = await adapter.requestDevice();

const layouts = {
  read: { buffer: { type: "read-only-storage" } },
  write: { buffer: { type: "storage" } },
  params: { buffer: { type: "uniform", hasDynamicOffset: true } },
  uniform: { buffer: { type: "uniform" } },
  "texture f32": { texture: { sampleType: "unfilterable-float" } },
  "texture u32": { texture: { sampleType: "uint", viewDimension: "2d-array" } },
};

let pipelines = 0;
for (const { name, source, bindings, pipeline } of shaders) {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label: name, code: source });
  const problems = (await module.getCompilationInfo()).messages.map(
    (m) =>
      `${m.type} in line ${m.lineNum}, column ${m.linePos}: ${m.message}\n\t${source.split("\n")[m.lineNum - 1] ?? ""}`,
  );
  const refused = await device.popErrorScope();
  if (refused && problems.length === 0) problems.push(refused.message);
  if (!refused && pipeline) {
    device.pushErrorScope("validation");
    const group = device.createBindGroupLayout({
      entries: bindings.map((kind, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, ...layouts[kind] })),
    });
    device.createComputePipeline({
      layout: device.createPipelineLayout({ bindGroupLayouts: [group] }),
      compute: { module, entryPoint: "main" },
    });
    const error = await device.popErrorScope();
    if (error) problems.push(error.message);
    else pipelines++;
  }
  if (problems.length > 0) console.log(JSON.stringify({ name, problems }));
}
const { version } = JSON.parse(readFileSync(new URL("node_modules/webgpu/package.json", import.meta.url)));
console.log(JSON.stringify({ compiled: shaders.length, pipelines, version }));
process.exit(0);
