// Images from files, pixels by a worker.

const decoder = new Worker('decode.js');
const waiting = new Map();
let last = 0;

decoder.addEventListener('message', ({data}) => {
  const {resolve, reject} = waiting.get(data.id);
  waiting.delete(data.id);
  if (data.image) resolve(data.image);
  else reject(new Error(data.problem));
});

// decode gives a file's image as {width, height, rgba, bitmap, shrunk}. With shorter it is shrunk to that length of its
// shorter side where it is longer; with show the bitmap is there, a picture to show, of no more pixels than a screen
// has.
export function decode(file, {shorter, show} = {}) {
  return new Promise((resolve, reject) => {
    last += 1;
    waiting.set(last, {resolve, reject});
    decoder.postMessage({id: last, file, shorter, show});
  });
}

// filesOf lists what was dropped as {path, file}; of folders also what is in them.
export async function filesOf(transfer) {
  const entries = [...transfer.items]
    .filter((i) => i.kind === 'file')
    .map((i) => i.webkitGetAsEntry?.() ?? i.getAsFile());
  const out = [];
  const file = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));
  const some = (reader) => new Promise((resolve, reject) => reader.readEntries(resolve, reject));
  const walk = async (entry, path) => {
    if (entry instanceof File) {
      out.push({path: entry.name, file: entry});
    } else if (entry.isFile) {
      out.push({path: path + entry.name, file: await file(entry)});
    } else {
      const reader = entry.createReader();
      for (let list = await some(reader); list.length; list = await some(reader)) { // about a hundred at a time
        for (const e of list) await walk(e, `${path}${entry.name}/`);
      }
    }
  };
  for (const e of entries) if (e) await walk(e, '');
  return out;
}

const splits = new Set(['train', 'training', 'val', 'valid', 'validation', 'test']);

// byClass sorts files of folders into classes: {classes: [name…], files: [{class, file, path}…], left: [path…]}. The
// class is the folder below the one that was given (of several that were given, each is one); folders for training and
// test images are taken together.
export function byClass(list) {
  const names = (depth) =>
    new Set(list.filter((f) => f.path.split('/').length > depth + 1).map((f) => f.path.split('/')[depth]));
  let depth = names(0).size > 1 ? 0 : 1;
  const below = names(depth);
  if (below.size && [...below].every((n) => splits.has(n.toLowerCase()))) depth += 1;
  const classes = [...names(depth)].filter((n) => !n.startsWith('.')).sort();
  const files = [];
  const left = [];
  for (const {path, file} of list) {
    const parts = path.split('/');
    const at = parts.length > depth + 1 ? classes.indexOf(parts[depth]) : -1;
    if (at < 0 || parts[parts.length - 1].startsWith('.')) left.push(path);
    else files.push({class: at, file, path});
  }
  return {classes, files, left};
}
