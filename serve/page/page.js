// The page of a run: takes the server's events, keeps what they tell, and shows it.
import {Chart} from './chart.js';

const $ = (id) => document.getElementById(id);

// What the events tell. A step is [last step, mean loss, learning rate, images a second].
let run = null;
let status = null;
const steps = [];
const epochs = [];
let verdicts = [];
let filters = null;
let received = 0; // when the status came

// Numbers for people.
const whole = (v) => Math.round(v).toLocaleString('en');
const significant = (v, digits = 3) => {
  if (v === 0) return '0';
  const size = Math.abs(v);
  return size < 1e-4 || size >= 1e6 ? v.toExponential(digits - 1) : Number(v.toPrecision(digits)).toLocaleString('en', {maximumFractionDigits: 8});
};
const fixed = (v, digits) => (v === null || v === undefined ? '–' : v.toFixed(digits));
const percent = (v, digits = 2) => (v === null || v === undefined ? '–' : `${(100 * v).toFixed(digits)} %`);
const pace = (v) => (v === null || v === undefined ? '–' : v < 100 ? v.toFixed(1) : whole(v));
// decimals writes the values of an axis whose marks are step apart.
const decimals = (step) => Math.max(0, Math.min(8, Math.ceil(-Math.log10(step) - 1e-9)));

function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

const charts = {
  loss: new Chart($('loss'), {xLabel: 'step', unit: 'step', yLabel: 'cross entropy', x: whole, y: (v, step) => (step ? v.toFixed(decimals(step)) : v.toFixed(4)), empty: 'After the first step'}),
  accuracy: new Chart($('accuracy'), {xLabel: 'epoch', unit: 'epoch', yLabel: 'accuracy', x: whole, y: (v, step) => percent(v, step ? Math.max(0, decimals(step) - 2) : 2), most: 1, empty: 'After the first evaluation'}),
  pace: new Chart($('pace'), {xLabel: 'step', unit: 'step', yLabel: 'images per second', x: whole, y: (v, step) => (step ? Number(v.toFixed(decimals(step))).toLocaleString('en') : pace(v)), least: 0, empty: 'After the first step'}),
  rate: new Chart($('rate'), {xLabel: 'step', unit: 'step', yLabel: 'learning rate', x: whole, y: (v) => significant(v), least: 0, empty: 'After the first step'}),
};

// smooth is the moving average of the values, exponential over about span points; of their reciprocals where rates are averaged.
function smooth(points, span, reciprocal) {
  const keep = 1 - 1 / span;
  let sum = 0;
  let weight = 0;
  return points.map(([x, y]) => {
    if (y === null || (reciprocal && !(y > 0))) return [x, null];
    sum = keep * sum + (1 - keep) * (reciprocal ? 1 / y : y);
    weight = keep * weight + (1 - keep);
    return [x, reciprocal ? weight / sum : sum / weight];
  });
}

const last = (points) => points.findLast((p) => p[1] !== null)?.[1] ?? null;
const best = (list, key) => list.reduce((b, e) => (e[key] !== null && (b === null || e[key] > b[key]) ? e : b), null);
const newest = (key) => epochs.findLast((e) => e[key] !== null) ?? null;

function showCurves() {
  const span = Math.max(10, steps.length / 40);
  const loss = steps.map((s) => [s[0], s[1]]);
  const smoothed = smooth(loss, span, false);
  const rates = smooth(steps.map((s) => [s[0], s[3]]), span, true);
  charts.loss.set([
    {name: 'training, each step', color: 'pale', points: loss},
    {name: 'training, smoothed', color: 'blue', points: smoothed},
    {name: 'test', color: 'orange', points: epochs.map((e) => [e.step, e.test_loss]), dots: true},
  ]);
  const accuracies = ['train', 'test'].map((split) => ({
    name: split === 'train' ? 'training' : 'test', color: split === 'train' ? 'blue' : 'orange', points: epochs.map((e) => [e.epoch, e[`${split}_accuracy`]]), dots: true,
  }));
  if (hasTop5()) accuracies.push({name: 'test, top 5', color: 'green', points: epochs.map((e) => [e.epoch, e.test_top5]), dots: true});
  charts.accuracy.set(accuracies);
  charts.pace.set([{name: 'images/s, smoothed', color: 'blue', points: rates}]);
  charts.rate.set([{name: 'learning rate', color: 'blue', points: steps.map((s) => [s[0], s[2]])}]);

  $('figure-loss').textContent = fixed(last(smoothed), 4);
  $('figure-loss-note').textContent = 'training, smoothed';
  $('figure-pace').textContent = pace(last(rates));
  $('figure-pace-note').textContent = 'images per second';
  const rate = steps.length ? steps[steps.length - 1][2] : null;
  $('figure-rate').textContent = rate === null ? '–' : significant(rate);
  if (run) $('figure-rate-note').textContent = `schedule ${run.settings.schedule}`;
}

// hasTop5 says whether it is told how often the class is among the five likeliest: beyond ten classes.
const hasTop5 = () => newest('test_top5') !== null;

function showEpochs() {
  for (const split of ['test', 'train']) {
    const now = newest(`${split}_accuracy`);
    const top = best(epochs, `${split}_accuracy`);
    $(`figure-${split}`).textContent = now ? percent(now[`${split}_accuracy`]) : '–';
    $(`figure-${split}-note`).textContent = !now ? 'not evaluated yet'
      : top.epoch === now.epoch ? `epoch ${now.epoch}, the best so far` : `epoch ${now.epoch}; best ${percent(top[`${split}_accuracy`])}`;
    const five = newest(`${split}_top5`);
    if (five) $(`figure-${split}-note`).textContent += `; top 5: ${percent(five[`${split}_top5`])}`;
  }
  if (!epochs.length) return;
  $('epochs').replaceChildren(...epochs.toReversed().map((e) => {
    const row = document.createElement('tr');
    const cells = [e.epoch, e.learning_rate === null ? '–' : significant(e.learning_rate), fixed(e.train_loss, 4), fixed(e.test_loss, 4), percent(e.train_accuracy), percent(e.test_accuracy), percent(e.test_top5), pace(e.images_per_second), `${e.size}×${e.size}`, duration(e.seconds)];
    for (const text of cells) row.insertCell().textContent = text;
    row.cells[6].className = 'top5';
    return row;
  }));
  document.body.classList.toggle('with-top5', hasTop5());
}

// named is a line with the name of a class; what there is no room for shows when it is pointed at.
function named(name) {
  const line = document.createElement('span');
  line.textContent = `is ${name}`;
  line.title = name;
  return line;
}

function showSamples() {
  if (!run || !run.samples) return;
  const right = verdicts.filter((v, i) => v.predicted === run.samples[i].true).length;
  if (verdicts.length) $('samples-note').textContent = `The first ${verdicts.length} test images after epoch ${verdicts[0].epoch}: ${right} of ${verdicts.length} right.`;
  $('samples').replaceChildren(...run.samples.map((s, i) => {
    const item = document.createElement('li');
    const img = document.createElement('img');
    const is = run.classes[s.true];
    const v = verdicts[i];
    img.src = s.image;
    img.width = img.height = 96;
    img.addEventListener('load', () => img.classList.toggle('large', img.naturalWidth > img.width));
    img.alt = `Test image ${i + 1}: ${is}`;
    item.append(img);
    const said = document.createElement('b');
    const note = document.createElement('small');
    if (v) {
      const ok = v.predicted === s.true;
      item.className = ok ? 'right' : 'wrong';
      said.textContent = `${ok ? '✓' : '✗'} ${run.classes[v.predicted]}`;
      said.title = run.classes[v.predicted];
      note.textContent = percent(v.probability, 0);
      if (!ok) note.append(named(is));
    } else {
      note.append(named(is));
    }
    item.append(said, note);
    return item;
  }));
}

function showFilters() {
  if (!filters) return;
  const img = $('filters');
  img.src = filters.image;
  img.alt = `The ${filters.count} filters of ${filters.layer}, each ${filters.size} by ${filters.size} pixels, as squares`;
  img.hidden = false;
  $('filters-note').textContent = `The ${filters.count} filters of ${filters.layer}, ${filters.size}×${filters.size} pixels each, after epoch ${filters.epoch}. Grey is weight 0.`;
}

function showFacts() {
  if (!run) return;
  const c = run.settings;
  $('title').textContent = `${run.model || c.model} on ${run.data_set || c.data}`;
  $('subtitle').textContent = run.adapter ? `recipe ${run.recipe} · ${run.adapter}` : 'reading data and preparing the adapter';
  const pixels = c.resize ? `${c.resize}×${c.resize} pixels` : 'their own size';
  const facts = [
    ['Model', run.model && `${run.model}, ${whole(run.parameters)} parameters`],
    ['Recipe', c.recipe],
    ['Data', `${run.data_set || c.data}: ${whole(run.train_images)} training and ${whole(run.test_images)} test images, ${whole((run.classes || []).length)} classes`],
    ['Adapter', run.adapter],
    ['Driver', run.driver],
    ['Optimiser', `SGD, momentum ${c.momentum}${c.nesterov ? ' (Nesterov)' : ''}, weight decay ${c.weight_decay}`],
    ['Learning rate', `${c.lr}, schedule ${c.schedule}`],
    ['Batch', `${whole(c.batch)} images${run.steps_per_epoch ? `, ${whole(run.steps_per_epoch)} steps an epoch` : ''}`],
    ['Images', `${pixels}${c.sizes ? `, smaller at first (${c.sizes})` : ''}; augmentation ${c.augment}`],
    ['Regularisation', `dropout ${c.dropout}, label smoothing ${c.label_smoothing}${c.ema ? `, averaged weights (${c.ema})` : ''}`],
    ['Seed', String(c.seed)],
    ['Run folder', run.dir],
    ['Version', run.version && `ninvk ${run.version}`],
    ['Checksum of the data', run.data_sha256 && `SHA-256 ${run.data_sha256.slice(0, 16)}…`],
  ];
  $('facts').replaceChildren(...facts.filter(([, v]) => v).map(([name, v]) => {
    const pair = document.createElement('div');
    const dt = document.createElement('dt');
    const dd = document.createElement('dd');
    dt.textContent = name;
    dd.textContent = v;
    pair.append(dt, dd);
    return pair;
  }));
}

const states = {
  preparing: ['Preparing', ''],
  training: ['Training', 'busy'],
  reading: ['Reading images', ''],
  evaluating: ['Evaluating', 'busy'],
  finished: ['Finished', 'good'],
  interrupted: ['Interrupted', 'bad'],
  failed: ['Stopped by an error', 'bad'],
};
const isOver = () => status !== null && ['finished', 'interrupted', 'failed'].includes(status.state);

function pill(text, kind) {
  if ($('state').textContent !== text) $('state').textContent = text; // it is read aloud when it changes
  $('state').className = `pill ${kind}`;
}

function message(text, kind) {
  if ($('message').textContent !== text) $('message').textContent = text;
  $('message').className = kind;
  $('message').hidden = !text;
}

function showStatus() {
  if (!status) return;
  pill(...states[status.state]);
  message(status.message ? `${status.message}${isOver() ? ' This page stays as it is; the server has stopped.' : ''}` : '', states[status.state][1]);
  if (status.state === 'reading') $('progress-text').textContent = `Reading the ${status.split} images: ${whole(status.done)} of ${whole(status.total)}`;
  if (!status.steps) return;
  $('progress').max = status.steps;
  $('progress').value = status.step;
  let text = `Step ${whole(status.step)} of ${whole(status.steps)} · epoch ${Math.max(1, status.epoch)} of ${status.epochs}`;
  if (status.state === 'evaluating') text += ` · evaluating the ${status.split === 'train' ? 'training' : status.split} split, ${whole(status.done)} of ${whole(status.total)} images`;
  $('progress-text').textContent = text;
  const share = Math.floor((100 * status.step) / status.steps);
  document.title = `${isOver() ? states[status.state][0] : `${share} %`} · ${run ? run.model || 'ninvk' : 'ninvk'}`;
  showTime();
}

function showTime() {
  if (!status || !status.steps) return;
  const passed = isOver() ? 0 : (Date.now() - received) / 1000;
  let text = `${duration(status.seconds + passed)} so far`;
  if (isOver()) text = `took ${duration(status.seconds)}`;
  else if (status.seconds_left !== undefined) text += ` · about ${duration(status.seconds_left - passed)} left`;
  else text += ' · the first step waits for the driver to compile the kernels';
  if (status.waited) text += ` · ${duration(status.waited)} waited for images`;
  $('time-text').textContent = text;
}

const source = new EventSource('events');
source.addEventListener('message', (event) => {
  const u = JSON.parse(event.data);
  status = u.status;
  received = Date.now();
  if (u.run) run = u.run;
  if (u.steps) steps.splice(u.steps.from, Infinity, ...u.steps.list);
  if (u.epochs) epochs.splice(u.epochs.from, Infinity, ...u.epochs.list);
  if (u.verdicts) verdicts = u.verdicts;
  if (u.filters) filters = u.filters;
  if (u.run) showFacts();
  if (u.run || u.steps || u.epochs) showCurves();
  if (u.run || u.epochs) showEpochs();
  if (u.run || u.verdicts) showSamples();
  if (u.filters) showFilters();
  showStatus();
  if (isOver()) source.close();
});
source.addEventListener('open', () => { // what comes is whole
  steps.length = epochs.length = verdicts.length = 0;
});
source.addEventListener('error', () => {
  if (isOver()) return;
  pill('No connection', 'bad');
  message(source.readyState === EventSource.CLOSED ? 'The program sends this page nothing: the run is over, or too many pages are open. Reload to try again.'
    : 'The program does not answer: it has ended, or can’t be reached from here. This page goes on trying.', 'bad');
});
setInterval(() => {
  if (source.readyState === EventSource.OPEN) showTime();
}, 1000);
