// The page: starts the worker, and leads what the visitor opens to Classify or Train.
import {Backend} from './backend.js';
import {Classify} from './classify.js';
import {filesOf} from './images.js';
import {whole} from './numbers.js';
import {missing} from './support.js';
import {Train} from './train.js';

const $ = (id) => document.getElementById(id);

const backend = new Backend();

function pill(text, kind) {
  if ($('state').textContent !== text) $('state').textContent = text; // it is read aloud when it changes
  $('state').className = `pill ${kind}`;
}

// message shows a text until it is closed, or another comes.
function message(text, kind = 'bad') {
  $('message-text').textContent = text;
  $('message').className = kind;
  $('message').hidden = !text;
}

// loading shows what is waited for; without a text that nothing is.
function loading(text, done, of) {
  $('loading').hidden = !text;
  if (!text) return;
  $('progress-text').textContent = text;
  if (of > 0) {
    $('progress').max = of;
    $('progress').value = Math.min(done, of);
  } else {
    $('progress').removeAttribute('value');
  }
}

function unavailable({title, text, list}) {
  loading('');
  pill('Not available', 'bad');
  $('unavailable-title').textContent = title;
  $('unavailable-text').textContent = text;
  $('unavailable-list').replaceChildren(...list.map((t) => {
    const item = document.createElement('li');
    item.textContent = t;
    return item;
  }));
  for (const id of ['tabs', 'classify', 'train', 'software']) $(id).hidden = true;
  $('unavailable').hidden = false;
}

const shared = {backend, message, loading, pill, show: select};
const classify = new Classify(shared);
const train = new Train({...shared, classify});
const tabs = ['classify', 'train'];

// select shows a tab.
function select(name) {
  for (const t of tabs) {
    $(t).hidden = t !== name;
    $(`tab-${t}`).setAttribute('aria-selected', String(t === name));
    $(`tab-${t}`).tabIndex = t === name ? 0 : -1;
  }
  history.replaceState(null, '', `#${name}`);
}
const selected = () => tabs.find((t) => !$(t).hidden);

for (const t of tabs) $(`tab-${t}`).addEventListener('click', () => select(t));
$('tabs').addEventListener('keydown', (e) => {
  const step = {ArrowLeft: -1, ArrowRight: 1}[e.key];
  if (!step) return;
  const next = tabs[(tabs.indexOf(selected()) + step + tabs.length) % tabs.length];
  select(next);
  $(`tab-${next}`).focus();
});
$('message-close').addEventListener('click', () => message(''));

// take leads files to where they belong.
async function take(list) {
  if (!list.length) return;
  message('');
  const weights = list.filter((f) => /\.safetensors$/i.test(f.path));
  if (list.some((f) => f.path.includes('/'))) {
    select('train');
    await train.own(list);
  } else if (weights.length) {
    if (selected() === 'train') await train.resume(weights[0].file);
    else await classify.open(weights[0].file);
    if (list.length > 1) message(`Of ${list.length} files ${weights[0].path} was taken.`, '');
  } else if (/\.(pth?|bin|ckpt)$/i.test(list[0].path)) {
    message(`${list[0].path}: this page reads weights as safetensors; ninvk import makes them of PyTorch’s files.`);
  } else {
    select('classify');
    await classify.image(list[0].file);
    if (list.length > 1) message(`Of ${list.length} files the first was taken, ${list[0].path}.`, '');
  }
}

let over = 0; // elements that what is dragged is above
const carries = (e) => [...(e.dataTransfer?.types ?? [])].includes('Files') && !$('tabs').hidden;
addEventListener('dragenter', (e) => {
  if (!carries(e)) return;
  over += 1;
  $('drop').hidden = false;
});
addEventListener('dragleave', (e) => {
  if (!carries(e)) return;
  over -= 1;
  $('drop').hidden = over <= 0;
});
addEventListener('dragover', (e) => e.preventDefault());
addEventListener('drop', async (e) => {
  e.preventDefault();
  over = 0;
  $('drop').hidden = true;
  if (!carries(e)) return;
  try {
    await take(await filesOf(e.dataTransfer));
  } catch (problem) {
    message(`What was dropped can’t be read: ${problem.message}`);
  }
});
addEventListener('paste', (e) => {
  if ($('tabs').hidden) return;
  take([...(e.clipboardData?.files ?? [])].map((file) => ({path: file.name, file})));
});

const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

backend.on('loading', ({done, of}) =>
  loading(
    of
      ? `Loading the program: ${megabytes(Math.min(done, of))} of ${megabytes(of)} MB`
      : `Loading the program: ${megabytes(done)} MB`,
    done,
    of,
  ),
);
backend.on('compiling', ({done, of}) =>
  loading(
    done < of ? `Preparing kernels for this adapter: ${whole(done)} of ${whole(of)}` : 'The first pass',
    done,
    of,
  ),
);
for (const is of ['answer', 'step', 'epoch']) backend.on(is, () => loading(''));
backend.on('adapter', (a) => {
  $('adapter').textContent = `Adapter: ${a.name}${a.software ? ' (software)' : ''}.`;
  $('software').hidden = !a.software;
  $('software').textContent =
    `The browser computes on the processor (${a.name}), not on a GPU: everything works, but slowly. `
    + 'If this machine has a GPU, chrome://gpu tells why the browser does not use it.';
  loading('Opening the network');
  $('tabs').hidden = false;
  select(location.hash === '#train' ? 'train' : 'classify');
});
backend.on('problem', ({kind, text, of}) => {
  if (kind === 'no-webgpu') {
    unavailable({title: 'WebGPU can’t be used here', text, list: []});
    return;
  }
  loading('');
  if (train.failed(kind, text, of)) return;
  if (kind === 'lost') {
    message(`The graphics device was lost (${text}). All is set up anew.`);
    classify.again();
    backend.start();
    return;
  }
  if (!of) pill('Stopped by an error', 'bad');
  message(kind === 'memory' ? `${text}\nClose other tabs, or choose a smaller image or network.` : text);
  classify.failed(of);
});

const problem = await missing();
if (problem) {
  unavailable(problem);
} else {
  loading('Loading the program');
  backend.start();
}
