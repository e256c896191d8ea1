// Images a second that TensorFlow.js trains and evaluates a network with, in Node and in browsers.

// measure takes TensorFlow.js with its WebGPU backend, a network as `ninvk models NAME --json` prints it, the images of
// a batch, the seconds that it may measure, and whether it is training, evaluating or both that is wanted.
export async function measure(tf, { layers, parameters }, batch, seconds, wanted = ["train", "infer"]) {
  let invalid = ""; // why commands were refused: what comes after is no result
  tf.backend().device.addEventListener("uncapturederror", ({ error }) => (invalid ||= error.message.split("\n")[0]));
  const [channels, height, width] = layers[0].output;
  const x = tf.randomNormal([batch, height, width, channels]);
  const classes = layers.at(-1).output[0];
  const labels = tf.oneHot(tf.randomUniform([batch], 0, classes, "int32"), classes).toFloat();

  const relu = (y, a) => (a.relu ? tf.relu(y) : y);
  const variable = (shape, deviation, mean = 0) => tf.variable(tf.randomNormal(shape, mean, deviation));
  // The matrix [to, from] that takes the mean over the windows of adaptive pooling.
  function windows(to, from) {
    return tf.tensor2d(Array.from({ length: to }, (_, i) => {
      const first = Math.floor((i * from) / to), end = Math.ceil(((i + 1) * from) / to);
      return Array.from({ length: from }, (_, k) => (k >= first && k < end ? 1 / (end - first) : 0));
    }));
  }
  // How a layer is computed, by the kind that ninvk calls it.
  const kinds = {
    Conv: (a, c, bias) => {
      const deviation = Math.sqrt(2 / (a.in_channels * a.kernel ** 2));
      const w = variable([a.kernel, a.kernel, a.in_channels, a.out_channels], deviation);
      const b = bias ? variable([a.out_channels], 0) : undefined;
      return ([y]) => {
        const z = tf.conv2d(y, w, a.stride, a.padding, "NHWC", 1, "floor");
        return relu(b ? tf.add(z, b) : z, a);
      };
    },
    Linear: (a) => {
      const w = variable([a.in_features, a.out_features], Math.sqrt(2 / a.in_features));
      const b = variable([a.out_features], 0);
      return ([y]) => {
        const z = tf.add(tf.matMul(y.reshape([batch, a.in_features]), w), b);
        return relu(z, a).reshape([batch, 1, 1, a.out_features]);
      };
    },
    BatchNorm: (a, c) => {
      const scale = variable([c], 0, 1), shift = variable([c], 0), mean = tf.zeros([c]), variance = tf.ones([c]);
      return ([y], training) => {
        const m = training ? tf.moments(y, [0, 1, 2]) : { mean, variance };
        return relu(tf.batchNorm(y, m.mean, m.variance, shift, scale, a.eps), a);
      };
    },
    ReLU: () => ([y]) => tf.relu(y),
    MaxPool: (a) => ([y]) => tf.maxPool(y, a.kernel, a.stride, a.padding, a.ceil_mode ? "ceil" : "floor"),
    AvgPool: (a) => ([y]) => tf.avgPool(y, a.kernel, a.stride, a.padding, "floor"),
    GlobalAvgPool: () => ([y]) => tf.mean(y, [1, 2], true),
    Dropout: (a) => ([y], training) => (training ? tf.dropout(y, a.p) : y),
    AdaptiveAvgPool: (a) => ([y]) => {
      const [, h, w, c] = y.shape;
      if (h === a.height && w === a.width) return y;
      const rows = tf.matMul(windows(a.height, h), y.reshape([batch, h, w * c]));
      const all = tf.matMul(windows(a.width, w), rows.reshape([batch * a.height, w, c]));
      return all.reshape([batch, a.height, a.width, c]);
    },
    Add: (a) => (ys) => relu(tf.addN(ys), a),
    Concat: () => (ys) => tf.concat(ys, 3),
    Subsample: (a) => ([y]) => { // a strided slice has no gradient
      const some = tf.avgPool(y, 1, a.stride, "valid");
      return tf.pad(some, [[0, 0], [0, 0], [0, 0], [a.channels_before, a.channels_after]]);
    },
  };
  const steps = layers.slice(1).map((l) => {
    if (!kinds[l.kind]) throw new Error(`no operation is known for a layer of kind ${l.kind}`);
    const bias = (l.tensors ?? []).some((t) => t.name.endsWith(".bias"));
    return { ...l, run: kinds[l.kind](l.attributes, l.output[0], bias) };
  });
  const trained = Object.values(tf.engine().registeredVariables).reduce((sum, v) => sum + v.size, 0);
  if (trained !== parameters) throw new Error(`the variables have ${trained} numbers, not ${parameters}`);

  function forward(training) {
    const values = { [layers[0].name]: x };
    for (const s of steps) values[s.name] = s.run(s.inputs.map((i) => values[i]), training);
    return values[layers.at(-1).name].reshape([batch, classes]);
  }

  const optimiser = tf.train.momentum(0.01, 0.9);
  async function train() {
    const loss = optimiser.minimize(() => tf.losses.softmaxCrossEntropy(labels, forward(true)), true);
    const [value] = await loss.data();
    loss.dispose();
    if (!Number.isFinite(value)) throw new Error(`the loss is ${value}`);
  }
  async function infer() {
    const y = tf.tidy(() => forward(false));
    await y.data();
    y.dispose();
  }

  async function rate(step) {
    await step(); // compiles
    if (invalid) throw new Error(invalid);
    const rates = [], begun = performance.now();
    while (rates.length < 1 || performance.now() - begun < 1000 * seconds) { // on a software driver one takes a minute
      const start = performance.now();
      await step();
      if (invalid) throw new Error(invalid);
      rates.push((1000 * batch) / (performance.now() - start));
    }
    rates.sort((a, b) => a - b);
    return (rates[Math.floor((rates.length - 1) / 2)] + rates[Math.floor(rates.length / 2)]) / 2;
  }

  const rates = {};
  for (const what of wanted) rates[what] = await rate({ train, infer }[what]);
  return rates;
}
