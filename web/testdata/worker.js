// Stands in for the program in tests of the page alone: answers by the protocol at once, tells apart red, green and
// blue, and fails where a real one seldom does. A run of seed 13 loses its device after its fifth step.
let classes = ['red', 'green', 'blue'];
let run = null;
let timer = null;

const tell = (message, give = []) => postMessage(message, give);
const fail = (kind, text, of) => tell({is: 'error', kind, text, of});
const bytes = (o) => new TextEncoder().encode(JSON.stringify(o)).buffer;
const picture =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E'
  + 'rkJggg==';

function save(kept) {
  const {timer: _, ...state} = run;
  const safetensors = bytes(state);
  tell(
    {is: 'saved', safetensors, step: run.step, name: `nin-bn-step-${run.step}.safetensors`, ...(kept ? {kept} : {})},
    [safetensors],
  );
}

function begin() {
  const {model, settings, step, classes: names, count} = run;
  const perEpoch = Math.ceil(count / settings.batch);
  run.steps = perEpoch * settings.epochs;
  run.perEpoch = perEpoch;
  tell({is: 'reading', split: 'train', done: 1, of: 2});
  tell({is: 'compiling', done: 1, of: 2});
  tell({
    is: 'begun',
    model,
    step,
    steps: run.steps,
    epochs: settings.epochs,
    steps_per_epoch: perEpoch,
    train_images: count,
    test_images: 4,
    classes: names,
    settings,
  });
  tell({is: 'state', state: 'running', step});
  go();
}

function go() {
  timer = setInterval(() => {
    run.step += 1;
    const {step, steps, perEpoch, settings} = run;
    tell({
      is: 'step',
      step,
      epoch: Math.ceil(step / perEpoch),
      loss: 2 * 0.9 ** step,
      images_s: 100 + step,
      lr: settings.lr,
      left: steps - step,
    });
    if (settings.seed === 13 && step === 5 && !run.resumed) {
      clearInterval(timer);
      fail('lost', 'as the test wants it');
      return;
    }
    if (step % perEpoch === 0) {
      tell({
        is: 'pictures',
        epoch: step / perEpoch,
        samples: [
          {image: picture, true: 0},
          {image: picture, true: 1},
        ],
        verdicts: [
          {predicted: 0, probability: 0.75},
          {predicted: 0, probability: 0.5},
        ],
        filters: {layer: 'classifier.0', count: 192, size: 5, image: picture},
      });
      tell({is: 'evaluating', split: 'test', done: 2, of: 4});
      tell({
        is: 'epoch',
        epoch: step / perEpoch,
        learning_rate: settings.lr,
        train_loss: 1,
        train_accuracy: 0.6,
        test_loss: 1.5,
        test_accuracy: 0.5,
        images_per_second: 90,
        seconds: 1,
        size: settings.size,
      });
      save(true);
    }
    if (step >= steps) stop();
  }, 10);
}

function stop() {
  clearInterval(timer);
  tell({is: 'state', state: 'ended', step: run.step});
}

const answers = {
  open({weights, name}) {
    const first = weights && new Uint8Array(weights)[0];
    if (first === '{'.charCodeAt(0)) { // a run that was saved
      classes = JSON.parse(new TextDecoder().decode(weights)).classes;
      tell({is: 'opened', model: 'resnet20', classes, size: 32, channels: 3});
      return;
    }
    if (weights && first !== 1) {
      fail('input', `${name}: this is no safetensors file`, 'open');
      return;
    }
    classes = weights
      ? Array.from({length: 40}, (_, i) => `class with a rather long name that has no room, number ${i}`)
      : ['red', 'green', 'blue'];
    tell({is: 'opened', model: 'nin-bn', classes, size: 32, channels: 3});
  },
  classify({id, width, height, rgba}) {
    const sums = [0, 0, 0];
    new Uint8Array(rgba).forEach((v, i) => {
      if (i % 4 < 3) sums[i % 4] += v;
    });
    const all = sums.reduce((a, b) => a + b) || 1;
    const p = classes
      .map((name, index) => ({index, name, p: index < 3 ? sums[index] / all : 0}))
      .sort((a, b) => b.p - a.p);
    answers.size = [width, height];
    tell({is: 'answer', id, classes: p, ms: 3.25});
  },
  map({id, class: index}) {
    const [w, h] = answers.size;
    const side = Math.min(w, h);
    const left = Math.floor((w - side) / 2);
    const top = Math.floor((h - side) / 2);
    const values = new Float32Array(16).fill(-0.5);
    values[index] = 2; // in the top row
    tell({is: 'map', id, class: index, width: 4, height: 4, values, region: [left, top, left + side, top + side]});
  },
  train({model, settings, data}) {
    if (settings.batch > 1000) {
      fail('memory', 'The adapter has not enough memory for a step of 1024 images.', 'train');
      return;
    }
    const own = data !== 'sample';
    run = {
      model,
      settings,
      step: 0,
      classes: own ? data.classes : ['cat', 'dog'],
      count: own ? data.images.length : 20,
    };
    if (own) run.sizes = data.images.map((i) => [i.class, i.width, i.height, i.rgba.byteLength]);
    begin();
  },
  resume({checkpoint}) {
    try {
      run = {...JSON.parse(new TextDecoder().decode(checkpoint)), resumed: true};
    } catch {
      fail('input', 'this is no checkpoint', 'resume');
      return;
    }
    begin();
  },
  pause() {
    clearInterval(timer);
    tell({is: 'state', state: 'paused', step: run.step});
  },
  continue() {
    tell({is: 'state', state: 'running', step: run.step});
    go();
  },
  settings({lr, augment}) {
    Object.assign(run.settings, {lr, augment});
  },
  save: () => save(false),
  stop,
};

onmessage = ({data}) => answers[data.do](data);
tell({is: 'loading', done: 500000, of: 1000000});
tell({is: 'adapter', name: 'Stand-in', type: 'cpu', software: true, limits: {maxBufferSize: 268435456}});
