// The page of a run: takes the server's events and shows what they tell.
import {duration, whole} from './numbers.js';
import {Run} from './run.js';

const $ = (id) => document.getElementById(id);

const view = new Run($('run'));
let run = null;
let status = null;
let received = 0; // when the status came

function showFacts() {
  if (!run) return;
  const c = run.settings;
  $('title').textContent = `${run.model || c.model} on ${run.data_set || c.data}`;
  $('subtitle').textContent = run.adapter
    ? `recipe ${run.recipe} · ${run.adapter}`
    : 'reading data and preparing the adapter';
  const pixels = c.resize ? `${c.resize}×${c.resize} pixels` : 'their own size';
  const facts = [
    ['Model', run.model && `${run.model}, ${whole(run.parameters)} parameters`],
    ['Recipe', c.recipe],
    [
      'Data',
      `${run.data_set || c.data}: ${whole(run.train_images)} training and ${whole(run.test_images)} test images, `
        + `${whole((run.classes || []).length)} classes`,
    ],
    ['Adapter', run.adapter],
    ['Driver', run.driver],
    ['Optimiser', `SGD, momentum ${c.momentum}${c.nesterov ? ' (Nesterov)' : ''}, weight decay ${c.weight_decay}`],
    ['Learning rate', `${c.lr}, schedule ${c.schedule}`],
    ['Batch', `${whole(c.batch)} images${run.steps_per_epoch ? `, ${whole(run.steps_per_epoch)} steps an epoch` : ''}`],
    ['Images', `${pixels}${c.sizes ? `, smaller at first (${c.sizes})` : ''}; augmentation ${c.augment}`],
    [
      'Regularisation',
      `dropout ${c.dropout}, label smoothing ${c.label_smoothing}${c.ema ? `, averaged weights (${c.ema})` : ''}`,
    ],
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
  message(
    status.message ? `${status.message}${isOver() ? ' This page stays as it is; the server has stopped.' : ''}` : '',
    states[status.state][1],
  );
  if (status.state === 'reading') {
    const read = `${whole(status.done)} of ${whole(status.total)}`;
    $('progress-text').textContent = `Reading the ${status.split} images: ${read}`;
  }
  if (!status.steps) return;
  $('progress').max = status.steps;
  $('progress').value = status.step;
  const epoch = Math.max(1, status.epoch);
  let text = `Step ${whole(status.step)} of ${whole(status.steps)} · epoch ${epoch} of ${status.epochs}`;
  if (status.state === 'evaluating') {
    const split = status.split === 'train' ? 'training' : status.split;
    text += ` · evaluating the ${split} split, ${whole(status.done)} of ${whole(status.total)} images`;
  }
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
  view.take(u);
  if (u.run) showFacts();
  showStatus();
  if (isOver()) source.close();
});
source.addEventListener('open', () => { // what comes is whole
  view.clear();
});
source.addEventListener('error', () => {
  if (isOver()) return;
  pill('No connection', 'bad');
  message(
    source.readyState === EventSource.CLOSED
      ? 'The program sends this page nothing: the run is over, or too many pages are open. Reload to try again.'
      : 'The program does not answer: it has ended, or can’t be reached from here. This page goes on trying.',
    'bad',
  );
});
setInterval(() => {
  if (source.readyState === EventSource.OPEN) showTime();
}, 1000);
