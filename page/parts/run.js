// What is shown of a run: figures, curves, predictions, filters, a table of epochs.
import {Chart} from './chart.js';
import {decimals, duration, fixed, pace, percent, significant, whole} from './numbers.js';

const figures = [
  ['loss', 'Loss'], ['test', 'Test accuracy'], ['train', 'Training accuracy'], ['pace', 'Throughput'],
  ['rate', 'Learning rate'],
];
const curves = [['loss', 'Loss'], ['accuracy', 'Accuracy'], ['pace', 'Throughput'], ['rate', 'Learning rate']];
const columns = [
  'Epoch', 'Learning rate', 'Training loss', 'Test loss', 'Training accuracy', 'Test accuracy', 'Test, top 5',
  'Images/s', 'Pixels', 'Time',
];
const top5 = 6; // among the columns

// make is an element with attributes and children: elements, or texts.
export function make(name, attributes = {}, ...children) {
  const e = document.createElement(name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  e.append(...children);
  return e;
}

// card is a part of the page under a heading.
function card(id, title, wide, ...content) {
  return make('section', {class: wide ? 'card wide' : 'card', 'aria-labelledby': `${id}-title`},
    make('h2', {id: `${id}-title`}, title), ...content);
}

// smooth is the moving average of the values, exponential over about span points; of their reciprocals where rates are
// averaged.
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

// named is a line with the name of a class; what there is no room for shows when it is pointed at.
const named = (name) => make('span', {title: name}, `is ${name}`);

export class Run {
  // The run is shown in a container; within the page, ids of its parts are loss, accuracy, samples and so on.
  constructor(container) {
    this.container = container;
    this.clear();
    container.append(
      make('dl', {class: 'figures', 'aria-label': 'Figures of now'}, ...figures.map(([id, title]) => make('div', {},
        make('dt', {}, title), make('dd', {id: `figure-${id}`}, '–'),
        make('dd', {class: 'note', id: `figure-${id}-note`}, '\u00a0')))),
      make('div', {class: 'grid'},
        ...curves.map(([id, title]) => card(id, title, false, make('div', {class: 'chart', id}))),
        card('samples', 'Predictions', false, make('p', {class: 'note', id: 'samples-note'}),
          make('ol', {class: 'samples', id: 'samples'})),
        card('filters', 'First-layer filters', false, make('p', {class: 'note', id: 'filters-note'}),
          make('img', {class: 'filters', id: 'filters', alt: '', hidden: ''})),
        card('epochs', 'Epochs', true,
          make('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-labelledby': 'epochs-title'},
            make('table', {},
              make('thead', {}, make('tr', {}, ...columns.map((text, i) =>
                make('th', i === top5 ? {scope: 'col', class: 'top5'} : {scope: 'col'}, text)))),
              make('tbody', {id: 'epochs'}))))));
    const axis = (write) => (v, step) => (step ? v.toFixed(decimals(step)) : write(v));
    const byStep = {xLabel: 'step', unit: 'step', x: whole, empty: 'After the first step'};
    const chart = (id, options) => new Chart(this.part(id), options);
    this.charts = {
      loss: chart('loss', {...byStep, yLabel: 'cross entropy', y: axis((v) => v.toFixed(4))}),
      accuracy: chart('accuracy', {
        xLabel: 'epoch', unit: 'epoch', yLabel: 'accuracy', x: whole, most: 1, empty: 'After the first evaluation',
        y: (v, step) => percent(v, step ? Math.max(0, decimals(step) - 2) : 2),
      }),
      pace: chart('pace', {
        ...byStep, yLabel: 'images per second', least: 0,
        y: (v, step) => (step ? Number(v.toFixed(decimals(step))).toLocaleString('en') : pace(v)),
      }),
      rate: chart('rate', {...byStep, yLabel: 'learning rate', y: (v) => significant(v), least: 0}),
    };
    this.show({run: true, steps: true, epochs: true, verdicts: true, filters: true});
  }

  part(id) {
    return this.container.querySelector(`[id="${id}"]`);
  }

  // clear forgets a run. A step is [last step, mean loss, learning rate, images a second].
  clear() {
    this.run = null; // {classes, samples: [{image, true}…], settings: {schedule}}
    this.steps = [];
    this.epochs = [];
    this.verdicts = [];
    this.filters = null;
  }

  // take takes what has changed; a list begins at a place, and replaces what was there from then on.
  take(u) {
    if (u.run) this.run = u.run;
    if (u.steps) this.steps.splice(u.steps.from, Infinity, ...u.steps.list);
    if (u.epochs) this.epochs.splice(u.epochs.from, Infinity, ...u.epochs.list);
    if (u.verdicts) this.verdicts = u.verdicts;
    if (u.filters) this.filters = u.filters;
    this.show(u);
  }

  // show draws what has changed.
  show(changed) {
    if (changed.run || changed.steps || changed.epochs) this.showCurves();
    if (changed.run || changed.epochs) this.showEpochs();
    if (changed.run || changed.verdicts) this.showSamples();
    if (changed.run || changed.filters) this.showFilters();
  }

  newest(key) {
    return this.epochs.findLast((e) => (e[key] ?? null) !== null) ?? null;
  }

  // hasTop5 says whether it is told how often the class is among the five likeliest: beyond ten classes.
  hasTop5() {
    return this.newest('test_top5_accuracy') !== null;
  }

  showCurves() {
    const {steps, epochs, charts} = this;
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
      name: split === 'train' ? 'training' : 'test', color: split === 'train' ? 'blue' : 'orange', dots: true,
      points: epochs.map((e) => [e.epoch, e[`${split}_accuracy`]]),
    }));
    if (this.hasTop5()) {
      accuracies.push({
        name: 'test, top 5', color: 'green', dots: true, points: epochs.map((e) => [e.epoch, e.test_top5_accuracy]),
      });
    }
    charts.accuracy.set(accuracies);
    charts.pace.set([{name: 'images/s, smoothed', color: 'blue', points: rates}]);
    charts.rate.set([{name: 'learning rate', color: 'blue', points: steps.map((s) => [s[0], s[2]])}]);

    this.part('figure-loss').textContent = fixed(last(smoothed), 4);
    this.part('figure-loss-note').textContent = 'training, smoothed';
    this.part('figure-pace').textContent = pace(last(rates));
    this.part('figure-pace-note').textContent = 'images per second';
    const rate = steps.length ? steps[steps.length - 1][2] : null;
    this.part('figure-rate').textContent = rate === null ? '–' : significant(rate);
    const schedule = this.run?.settings?.schedule;
    this.part('figure-rate-note').textContent = schedule ? `schedule ${schedule}` : '\u00a0';
  }

  showEpochs() {
    const {epochs} = this;
    for (const split of ['test', 'train']) {
      const now = this.newest(`${split}_accuracy`);
      const top = best(epochs, `${split}_accuracy`);
      this.part(`figure-${split}`).textContent = now ? percent(now[`${split}_accuracy`]) : '–';
      const note = this.part(`figure-${split}-note`);
      note.textContent = !now ? 'not evaluated yet'
        : top.epoch === now.epoch ? `epoch ${now.epoch}, the best so far`
          : `epoch ${now.epoch}; best ${percent(top[`${split}_accuracy`])}`;
      const five = this.newest(`${split}_top5_accuracy`);
      if (five) note.textContent += `; top 5: ${percent(five[`${split}_top5_accuracy`])}`;
    }
    const none = () => make('tr', {}, make('td', {colspan: String(columns.length)}, 'None yet.'));
    this.part('epochs').replaceChildren(...(epochs.length ? epochs.toReversed().map((e) => {
      const row = make('tr');
      const cells = [ // as columns
        e.epoch, e.learning_rate === null ? '–' : significant(e.learning_rate), fixed(e.train_loss, 4),
        fixed(e.test_loss, 4), percent(e.train_accuracy), percent(e.test_accuracy), percent(e.test_top5_accuracy),
        pace(e.images_per_second), `${e.size}×${e.size}`, duration(e.seconds),
      ];
      for (const text of cells) row.insertCell().textContent = text;
      row.cells[top5].className = 'top5';
      return row;
    }) : [none()]));
    this.container.classList.toggle('with-top5', this.hasTop5());
  }

  showSamples() {
    const {run, verdicts} = this;
    const samples = run?.samples ?? [];
    const right = verdicts.filter((v, i) => v.predicted === samples[i]?.true).length;
    this.part('samples-note').textContent = verdicts.length && samples.length
      ? `The first ${verdicts.length} test images after epoch ${verdicts[0].epoch}: `
        + `${right} of ${verdicts.length} right.`
      : 'The first test images; the network is asked after each evaluation.';
    this.part('samples').replaceChildren(...samples.map((s, i) => {
      const is = run.classes[s.true];
      const img = make('img', {src: s.image, width: '96', height: '96', alt: `Test image ${i + 1}: ${is}`});
      img.addEventListener('load', () => img.classList.toggle('large', img.naturalWidth > img.width));
      const said = make('b');
      const note = make('small');
      const item = make('li', {}, img, said, note);
      const v = verdicts[i];
      if (!v) {
        note.append(named(is));
        return item;
      }
      const ok = v.predicted === s.true;
      item.className = ok ? 'right' : 'wrong';
      said.textContent = `${ok ? '✓' : '✗'} ${run.classes[v.predicted]}`;
      said.title = run.classes[v.predicted];
      note.textContent = percent(v.probability, 0);
      if (!ok) note.append(named(is));
      return item;
    }));
  }

  showFilters() {
    const f = this.filters;
    const img = this.part('filters');
    img.hidden = !f;
    this.part('filters-note').textContent = !f ? 'Drawn after the first epoch.'
      : `The ${f.count} filters of ${f.layer}, ${f.size}×${f.size} pixels each, after epoch ${f.epoch}. `
        + 'Grey is weight 0.';
    if (!f) return;
    img.src = f.image;
    img.alt = `The ${f.count} filters of ${f.layer}, each ${f.size} by ${f.size} pixels, as squares`;
  }
}
