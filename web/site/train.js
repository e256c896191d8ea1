// Train: a run in the worker, its settings, and what is shown of it.
import {byClass, decode} from './images.js';
import {duration, whole} from './numbers.js';
import {Run} from './run.js';

const $ = (id) => document.getElementById(id);

// Own images are shrunk to so many times the network's size, of their shorter side, so that thousands fit into memory.
const times = 3;
const mostImages = 10000;

const names = {train: 'training', test: 'test'}; // of splits, for people
const evaluated = 200; // training images that are evaluated after each epoch

const mostPoints = 2000; // of a curve
const pause = 250; // milliseconds between two drawings

// thinned is a list of steps with at most about mostPoints points, each the mean of as many steps as the others.
function thinned(steps) {
  const every = Math.ceil(steps.length / mostPoints);
  if (every < 2) return steps;
  const out = [];
  for (let i = 0; i < steps.length; i += every) {
    const part = steps.slice(i, i + every);
    const sum = (f) => part.reduce((s, p) => s + f(p), 0);
    const last = part[part.length - 1];
    out.push([last[0], sum((p) => p[1]) / part.length, last[2], part.length / sum((p) => 1 / p[3])]);
  }
  return out;
}

// history is what a saved run holds of the steps and epochs before it: safetensors' header has the lines of its
// metrics.jsonl.
function history(checkpoint) {
  const steps = [];
  const epochs = [];
  try {
    const size = Number(new DataView(checkpoint).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(checkpoint, 8, size)));
    for (const line of header.__metadata__['ninvk.metrics'].trim().split('\n').map((text) => JSON.parse(text))) {
      if (line.type === 'step') {
        steps.push([line.step, line.loss, line.learning_rate, line.images_per_second]);
      } else if (line.type === 'epoch') {
        epochs.push({...line, step: steps.at(-1)?.[0] ?? 0});
      } else if (line.type === 'rollback') {
        steps.splice(steps.findIndex((s) => s[0] > line.to_step) >>> 0);
      }
    }
  } catch {
    return {steps: [], epochs: []}; // the worker says what is wrong with the file
  }
  return {steps, epochs};
}

const plural = (n, one, many = `${one}s`) => `${whole(n)} ${n === 1 ? one : many}`;

export class Train {
  constructor({backend, message, pill, show, classify}) {
    Object.assign(this, {backend, message, pill, classify});
    this.view = new Run($('run'));
    this.form = $('settings');
    this.state = 'none'; // none, starting, running, paused, ended
    this.data = null; // own images: {classes, images: [{class, width, height, pixels: Blob}…]}
    this.reading = 0; // folders that were begun to be read
    this.kept = null; // {safetensors, step}: the newest checkpoint, for a device that is lost
    this.forget();

    backend.on('begun', (b) => this.begun(b));
    backend.on('step', (s) => this.stepped(s));
    backend.on('epoch', (e) => this.epoch(e));
    backend.on('reading', ({split, done, of}) =>
      this.busy(`Reading the ${names[split]} images: ${whole(done)} of ${whole(of)}`),
    );
    backend.on('evaluating', ({split, done, of}) =>
      this.busy(`Evaluating on the ${names[split]} images: ${whole(done)} of ${whole(of)}`),
    );
    backend.on('pictures', (p) => this.pictures(p));
    backend.on('state', (s) => this.is(s.state));
    backend.on('saved', (s) => this.saved(s));

    this.form.addEventListener('submit', (e) => {
      e.preventDefault();
      this.start();
    });
    for (const name of ['lr', 'augment']) this.form.elements[name].addEventListener('change', () => this.settings());
    $('pause').addEventListener('click', () =>
      backend.send(this.state === 'paused' ? {do: 'continue'} : {do: 'pause'}),
    );
    $('stop').addEventListener('click', () => backend.send({do: 'stop'}));
    $('try').addEventListener('click', () => {
      show('classify');
      this.classify.openBytes(`the network in training, step ${whole(this.kept.step)}`, this.kept.safetensors);
    });
    $('save').addEventListener('click', () => backend.send({do: 'save'}));
    $('resume').addEventListener('click', () => $('checkpoint-file').click());
    $('checkpoint-file').addEventListener('change', (e) => this.chose(e.target, ([f]) => this.resume(f)));
    $('choose-folder').addEventListener('click', () => $('folder').click());
    $('folder').addEventListener('change', (e) => this.chose(e.target, (files) => this.own(
      files.map((file) => ({path: file.webkitRelativePath || file.name, file})))));
    $('data-own').addEventListener('change', () => {
      if (!this.data) $('folder').click();
    });
    addEventListener('beforeunload', (e) => {
      if (this.goesOn()) e.preventDefault();
    });
    document.addEventListener('visibilitychange', () => this.seen());
    setInterval(() => this.showTime(), 1000);
    this.controls();
  }

  chose(input, f) {
    const files = [...input.files];
    input.value = '';
    if (files.length) f(files);
  }

  // busy tells what the worker does beside steps.
  busy(text) {
    if (this.goesOn()) $('train-text').textContent = text;
  }

  // forget forgets the run before.
  forget() {
    this.steps = [];
    this.epochs = [];
    this.run = null;
    this.lastLoss = null;
    this.seconds = 0; // that the run went on, until since
    this.since = null;
    this.first = null; // what was left after the first step of this worker, and when that was done
    this.view.clear();
    this.view.show({run: true, steps: true, epochs: true, verdicts: true, filters: true});
  }

  goesOn() {
    return ['starting', 'running', 'paused'].includes(this.state);
  }

  controls() {
    const on = this.goesOn();
    $('start').disabled = on;
    $('resume').disabled = on;
    $('choose-folder').disabled = on;
    for (const e of this.form.elements) if (e.name && !['lr', 'augment'].includes(e.name)) e.disabled = on;
    $('pause').disabled = !['running', 'paused'].includes(this.state);
    $('pause').textContent = this.state === 'paused' ? 'Continue' : 'Pause';
    $('stop').disabled = !on;
    $('try').disabled = !this.kept;
    $('save').disabled = !this.run || this.state === 'starting';
  }

  // say shows a text about the run until the next one.
  say(text) {
    $('train-message').textContent = text;
    $('train-message').hidden = !text;
  }

  values() {
    const e = this.form.elements;
    return {
      lr: Number(e.lr.value), augment: e.augment.value, batch: Number(e.batch.value), epochs: Number(e.epochs.value),
      seed: Number(e.seed.value), size: Number(e.size.value), evaluated,
    };
  }

  start() {
    const e = this.form.elements;
    if (e.data.value === 'own' && !this.data) {
      this.say('Choose a folder first, or take the sample.');
      return;
    }
    this.begin({do: 'train', model: e.model.value, settings: this.values()});
  }

  begin(message) {
    this.message('');
    this.say('');
    this.forget();
    this.kept = null;
    this.is('starting');
    $('train-text').textContent = 'Starting';
    this.send(message);
  }

  // send sends a message that begins a run, with the images that it is about; what is large is handed over.
  async send(message) {
    const give = message.checkpoint ? [message.checkpoint] : [];
    let data = 'sample';
    if (this.form.elements.data.value === 'own' && this.data) {
      const images = [];
      for (const {pixels, ...rest} of this.data.images) images.push({...rest, rgba: await pixels.arrayBuffer()});
      give.push(...images.map((i) => i.rgba));
      data = {classes: this.data.classes, images};
    }
    this.backend.send({...message, data}, give);
  }

  // resume goes on with a saved run.
  async resume(file) {
    if (this.goesOn()) {
      this.message('A run goes on. Stop it before you go on with another.', '');
      return;
    }
    const checkpoint = await file.arrayBuffer();
    const before = history(checkpoint);
    this.begin({do: 'resume', checkpoint});
    Object.assign(this, before);
  }

  // own takes the visitor's images, files with their paths.
  async own(list) {
    if (this.goesOn()) {
      this.message('A run goes on. Stop it before you choose other images.', '');
      return;
    }
    const {classes, files, left} = byClass(list);
    if (classes.length < 2) {
      this.say(
        `Found ${plural(classes.length, 'class', 'classes')} in this folder. Choose one that has a folder of images `
          + 'for each class: photos/cat/1.jpg, photos/dog/1.jpg.',
      );
      return;
    }
    if (files.length > mostImages) {
      this.say(
        `The folder has ${whole(files.length)} images; a page can hold ${whole(mostImages)}. `
          + 'ninvk train --data takes all of them.',
      );
      return;
    }
    this.say('');
    const shorter = times * Number(this.form.elements.size.value);
    const images = [];
    const broken = [];
    const counts = classes.map(() => 0);
    this.reading += 1;
    const reading = this.reading;
    for (const [i, f] of files.entries()) {
      if (i % 10 === 0) $('data-note').textContent = `Reading image ${whole(i + 1)} of ${whole(files.length)}`;
      try {
        const {width, height, rgba} = await decode(f.file, {shorter});
        // The browser keeps a Blob where it likes.
        images.push({class: f.class, width, height, pixels: new Blob([rgba])});
        counts[f.class] += 1;
      } catch {
        broken.push(f.path);
      }
      if (reading !== this.reading) return; // another folder was given meanwhile
    }
    const empty = classes.filter((_, i) => !counts[i]);
    let text =
      `${plural(images.length, 'image')} of ${whole(classes.length)} classes: `
      + classes
        .slice(0, 12)
        .map((c, i) => `${c} ${whole(counts[i])}`)
        .join(', ')
      + (classes.length > 12 ? ' …' : '')
      + '.';
    const name = (paths) => paths.slice(0, 3).join(', ') + (paths.length > 3 ? ' …' : '');
    if (broken.length) text += ` ${plural(broken.length, 'file')} can’t be read as images: ${name(broken)}.`;
    if (left.length)
      text += ` ${plural(left.length, 'file')} outside a class’s folder, or hidden, left out: ${name(left)}.`;
    $('data-note').textContent = text;
    if (empty.length) {
      this.say(`No image of ${name(empty)} can be read; each class needs some.`);
      return;
    }
    this.data = {classes, images};
    $('data-own').checked = true;
  }

  // settings hands on what may change while a run goes on.
  settings() {
    const {lr, augment} = this.values();
    if (!(lr > 0) || !this.form.elements.lr.checkValidity()) {
      this.say('The learning rate must be a number above 0.');
      return;
    }
    if (!this.goesOn()) return;
    this.backend.send({do: 'settings', lr, augment});
    this.say(`From the next step on: learning rate ${lr}, augmentation ${augment}.`);
  }

  is(state) {
    const before = this.state;
    this.state = state;
    const now = performance.now();
    if (this.since !== null) this.seconds += (now - this.since) / 1000;
    this.since = state === 'running' ? now : null;
    this.first = null;
    const told = {
      starting: ['Starting', ''],
      running: ['Training', 'busy'],
      paused: ['Paused', ''],
      ended: ['Ended', 'good'],
      none: ['Ready', 'good'],
    }[state];
    this.pill(...told);
    if (state !== 'running') this.draw();
    if (state === 'ended' && !this.run) $('train-text').textContent = 'Stopped before it began.';
    if (state === 'ended' && before !== 'ended' && this.run) {
      const done = this.last() >= this.run.steps;
      this.say(
        done
          ? 'The run is complete. Save keeps its weights.'
          : `The run was stopped after step ${whole(this.last())}. Save keeps it, to go on later.`,
      );
      document.title = 'Ended · ninvk';
    }
    this.controls();
    this.showProgress();
  }

  last() {
    return this.steps.length ? this.steps[this.steps.length - 1][0] : this.run?.step ?? 0;
  }

  begun(b) {
    this.run = b;
    this.view.run = {classes: b.classes, samples: [], settings: {}};
    const e = this.form.elements;
    for (const [name, value] of Object.entries({model: b.model, ...b.settings})) {
      const field = e[name];
      if (field?.options && [...field.options].every((o) => o.value !== String(value))) field.add(new Option(value));
      if (field) field.value = value;
    }
    this.steps = this.steps.filter((s) => s[0] <= b.step); // after a lost device there may be more
    this.epochs = this.epochs.filter((x) => x.step <= b.step);
    $('train-text').textContent = 'The first step waits for the browser to compile the kernels.';
    this.changed('run');
    this.changed('steps');
    this.changed('epochs');
    this.controls();
  }

  stepped(s) {
    if (this.state === 'starting') this.is('running');
    const number = (v) => (Number.isFinite(v) ? v : null);
    this.steps.push([s.step, number(s.loss), number(s.lr), number(s.images_s)]);
    this.at = s.epoch;
    this.left = s.left;
    this.first ??= [s.left, performance.now()];
    this.changed('steps');
  }

  epoch(e) {
    this.epochs.push({...e, step: this.last()});
    this.changed('epochs');
  }

  pictures({epoch, samples, verdicts, filters}) {
    this.view.run.samples = samples;
    this.view.verdicts = verdicts.map((v) => ({epoch, ...v}));
    this.view.filters = {epoch, ...filters};
    this.changed('verdicts');
    this.changed('filters');
  }

  // changed has the page drawn anew, after a while, so that much news costs no more than some.
  changed(what) {
    if (!this.dirty) {
      this.dirty = {};
      setTimeout(() => this.draw(), pause);
    }
    this.dirty[what] = true;
  }

  draw() {
    const {dirty} = this;
    if (!dirty) return;
    this.dirty = null;
    this.view.steps = thinned(this.steps);
    this.view.epochs = this.epochs;
    this.view.show(dirty);
    this.showProgress();
  }

  showProgress() {
    const {run} = this;
    if (!run) return;
    const step = this.last();
    $('train-progress').max = run.steps;
    $('train-progress').value = step;
    if (step > run.step || this.state === 'paused') {
      $('train-text').textContent =
        `Step ${whole(step)} of ${whole(run.steps)} · epoch ${Math.max(1, this.at ?? 1)} of ${whole(run.epochs)}`;
    }
    if (this.state === 'running') document.title = `${Math.floor((100 * step) / run.steps)} % · ${run.model}`;
    if (this.state === 'paused') document.title = `Paused · ${run.model}`;
    this.showTime();
  }

  showTime() {
    if (!this.run) return;
    const now = performance.now();
    const seconds = this.seconds + (this.since === null ? 0 : (now - this.since) / 1000);
    let text = `${duration(seconds)} so far`;
    const done = this.first ? this.first[0] - this.left : 0;
    if (this.state === 'running' && done > 0)
      text += ` · about ${duration(((now - this.first[1]) / 1000 / done) * this.left)} left`;
    if (this.state === 'ended') text = `took ${duration(seconds)}`;
    $('time-text').textContent = text;
  }

  saved({safetensors, step, name, kept}) {
    if (kept) {
      this.kept = {safetensors, step};
      this.controls();
      return;
    }
    const url = URL.createObjectURL(new Blob([safetensors], {type: 'application/octet-stream'}));
    const link = document.createElement('a');
    link.href = url;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
    this.say(`Saved as ${name}. To go on with it: “Go on with a saved run” here, or ninvk train --resume ${name}.`);
  }

  // failed shows what went wrong with a run, and says whether it was a run that it was about.
  failed(kind, text, of) {
    if (!this.goesOn() && !['train', 'resume', 'save'].includes(of)) return false;
    if (kind === 'lost' && this.goesOn()) {
      this.lost(text);
      return false; // the network to classify with is lost too
    }
    if (of && !['train', 'resume', 'save', 'settings', 'pause', 'continue', 'stop'].includes(of)) return false;
    const begun = of === 'train' || of === 'resume';
    if (begun || !of) this.is(this.run ? 'ended' : 'none');
    if (begun && !this.run) $('train-text').textContent = 'Not begun.';
    const smaller = 'Take fewer images a step, fewer pixels, or resnet20, which needs less; or close other tabs.';
    this.say(kind === 'memory' ? `${text} ${smaller}` : text);
    return true;
  }

  // lost goes on with the newest checkpoint once a new worker is there.
  lost(text) {
    const checkpoint = this.kept?.safetensors;
    if (!checkpoint) {
      this.is('none');
      this.say(`The graphics device was lost (${text}) before there was anything to go on from. Start again.`);
      return;
    }
    this.is('starting');
    this.say(`The graphics device was lost (${text}). The run goes on from step ${whole(this.kept.step)}.`);
    this.backend.addEventListener('opened', () => this.send({do: 'resume', checkpoint: checkpoint.slice(0)}), {
      once: true,
    });
  }

  // seen says what a tab in the background costs.
  seen() {
    if (this.state !== 'running') return;
    if (document.hidden) {
      this.away = [performance.now(), this.last()];
      return;
    }
    if (!this.away) return;
    const [since, step] = this.away;
    this.away = null;
    const seconds = (performance.now() - since) / 1000;
    if (seconds > 10) {
      this.say(
        `While this tab was in the background, ${plural(this.last() - step, 'step')} were done in `
          + `${duration(seconds)}. Browsers give such tabs less time, and may stop them; a window of its own that `
          + 'stays in view is the fastest.',
      );
    }
  }
}
