// Classify: an image, what the network says of it, and where it sees that.
import {decode} from './images.js';
import {percent} from './numbers.js';
import {make} from './run.js';

const $ = (id) => document.getElementById(id);

const shown = 10; // classes, unless all are asked for

// Colours of a map from 0 outwards, as the program's own pictures have them: for the class, and against it.
const hot = [[255, 255, 178], [254, 204, 92], [253, 141, 60], [240, 59, 32], [189, 0, 38]];
const cold = [[189, 215, 231], [107, 174, 214], [49, 130, 189], [8, 81, 156], [8, 48, 107]];

// colour is that of a value from -1 to 1, with its alpha.
function colour(v) {
  const ramp = v < 0 ? cold : hot;
  const x = Math.min(1, Math.abs(v)) * (ramp.length - 1);
  const i = Math.min(ramp.length - 2, Math.floor(x));
  const s = Math.abs(v);
  return [...ramp[i].map((c, k) => c + (x - i) * (ramp[i + 1][k] - c)), 255 * 0.8 * s * (2 - s)];
}

// heat is a map as a picture, a pixel a value.
function heat({width, height, values}) {
  const picture = new OffscreenCanvas(width, height);
  const pixels = new ImageData(width, height);
  const most = values.reduce((m, v) => Math.max(m, Math.abs(v)), 0) || 1;
  values.forEach((v, i) => pixels.data.set(colour(v / most), 4 * i));
  picture.getContext('2d').putImageData(pixels, 0, 0);
  return picture;
}

// where says in words where a map is largest, for those who don't see it.
function where({width, height, values}) {
  const at = values.indexOf(values.reduce((m, v) => Math.max(m, v), -Infinity));
  const third = (i, n, names) => names[Math.min(2, Math.floor((3 * (i + 0.5)) / n))];
  const row = third(Math.floor(at / width), height, ['top', 'middle', 'bottom']);
  const column = third(at % width, width, ['left', 'centre', 'right']);
  return row === 'middle' && column === 'centre' ? 'in the middle' : `at the ${row} ${column}`;
}

export class Classify {
  constructor({backend, message, loading, pill}) {
    Object.assign(this, {backend, message, loading, pill});
    this.id = 0; // of the newest image
    this.picture = null; // {name, file, bitmap, width, height, rgba, shrunk}
    this.waiting = null; // an image until a network is ready
    this.weights = null; // {name, bytes} of the visitor's own
    this.classes = []; // of the newest answer
    this.chosen = null; // class whose map is shown
    this.map = null;
    this.ready = false;
    this.all = false;

    backend.on('adapter', () => this.openNetwork());
    backend.on('opened', (o) => this.opened(o));
    backend.on('answer', (a) => this.answered(a));
    backend.on('map', (m) => {
      if (m.id !== this.id || m.class !== this.chosen) return;
      this.map = m;
      this.draw();
    });
    $('examples').addEventListener('click', (e) => {
      const button = e.target.closest('button');
      if (button) this.example(button.querySelector('img'));
    });
    $('choose').addEventListener('click', () => $('image-file').click());
    $('image-file').addEventListener('change', (e) => this.chose(e.target, (f) => this.image(f)));
    $('open-weights').addEventListener('click', () => $('weights-file').click());
    $('weights-file').addEventListener('change', (e) => this.chose(e.target, (f) => this.open(f)));
    $('own-weights').addEventListener('click', () => {
      this.weights = null;
      this.openNetwork();
    });
    $('show-map').addEventListener('change', () => this.draw());
    $('all-classes').addEventListener('click', () => {
      this.all = !this.all;
      this.list();
    });
    $('paste').hidden = !navigator.clipboard?.read;
    $('paste').addEventListener('click', () => this.paste());
    $('camera').hidden = !navigator.mediaDevices?.getUserMedia;
    $('camera').addEventListener('click', () => this.camera());
    $('camera-take').addEventListener('click', () => this.photograph());
    $('camera-close').addEventListener('click', () => $('camera-dialog').close());
    $('camera-dialog').addEventListener('close', () => this.dark());
  }

  chose(input, f) {
    const file = input.files[0];
    input.value = ''; // so that the same file can be chosen again
    if (file) f(file);
  }

  // openNetwork opens the visitor's weights or, without any, the page's own.
  openNetwork() {
    this.ready = false;
    this.pill('Getting ready', '');
    this.loading('Opening the network');
    const {weights} = this;
    this.backend.send(weights ? {do: 'open', weights: weights.bytes.slice(0), name: weights.name} : {do: 'open'});
  }

  // open opens a file of weights.
  async open(file) {
    this.message('');
    this.openBytes(file.name, await file.arrayBuffer());
  }

  openBytes(name, bytes) {
    this.before = this.weights; // where these can't be opened
    this.weights = {name, bytes};
    this.openNetwork();
  }

  // again makes ready for a new worker.
  again() {
    this.ready = false;
    if (this.picture) this.waiting = this.picture;
  }

  opened({model, classes, size, channels}) {
    this.ready = true;
    this.loading('');
    this.pill('Ready', 'good');
    $('network').textContent =
      `${model}, ${classes.length} classes, images of ${size}×${size} pixels${channels === 1 ? ', grey' : ''}`
      + `; ${this.weights ? `weights of ${this.weights.name}` : 'the page’s own weights'}.`;
    $('own-weights').hidden = !this.weights;
    const next = this.waiting ?? this.picture;
    this.waiting = null;
    if (next) this.ask(next);
  }

  // failed takes note of a message that could not be done.
  failed(of) {
    if (of === 'open' && this.weights) {
      this.weights = this.before;
      this.before = null;
      this.openNetwork();
    }
  }

  async example(img) {
    const answer = await fetch(img.src);
    await this.image(await answer.blob(), img.alt);
  }

  // image shows and classifies the image of a file.
  async image(file, name = file.name) {
    this.message('');
    let image;
    try {
      image = await decode(file, {show: true});
    } catch (e) {
      this.message(`${name} can’t be read as an image: ${e.message} This browser reads PNG, JPEG, GIF, WebP and BMP, `
        + 'some read AVIF or HEIC too; ninvk predict reads them all.');
      return;
    }
    await this.ask({name, file, ...image});
  }

  // ask shows an image, and has the network look at it.
  async ask(picture) {
    this.id += 1;
    this.picture = picture;
    this.map = null;
    this.chosen = null;
    this.classes = [];
    this.list();
    const {id} = this;
    const {width, height} = picture;
    $('image-note').textContent = `${picture.name}, ${width}×${height} pixels${picture.shrunk ? ', shrunk' : ''}`;
    this.draw();
    if (!this.ready) {
      this.waiting = picture;
      $('answer-note').textContent = 'As soon as the network is ready';
      return;
    }
    $('answer-title').textContent = 'Looking…';
    $('answer-note').textContent = '\u00a0';
    const rgba = picture.rgba ?? (await decode(picture.file)).rgba; // it is handed over, as it may be large
    picture.rgba = null;
    if (id === this.id) this.backend.send({do: 'classify', id, width, height, rgba}, [rgba]);
  }

  answered({id, classes, ms}) {
    this.loading('');
    if (id !== this.id) return;
    this.classes = classes;
    $('answer-title').textContent = `${classes[0].name}, ${percent(classes[0].p, 1)}`;
    $('answer-note').textContent =
      `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms. Choose a class to see where the network sees it.`;
    this.choose(classes[0].index);
  }

  choose(index) {
    this.chosen = index;
    this.list();
    this.backend.send({do: 'map', id: this.id, class: index});
  }

  list() {
    const n = this.all ? this.classes.length : Math.min(shown, this.classes.length);
    const focus = document.activeElement?.closest?.('#classes button')?.dataset.index;
    $('classes').replaceChildren(
      ...this.classes.slice(0, n).map(({index, name, p}) => {
        const fill = make('i');
        fill.style.width = `${100 * p}%`;
        const button = make(
          'button',
          {'aria-pressed': String(index === this.chosen), 'data-index': String(index)},
          make('span', {class: 'name', title: name}, name),
          make('span', {class: 'bar'}, fill),
          make('span', {class: 'p'}, percent(p, 1)),
        );
        button.addEventListener('click', () => this.choose(index));
        return make('li', {}, button);
      }),
    );
    if (focus) $('classes').querySelector(`[data-index="${focus}"]`)?.focus();
    $('all-classes').hidden = this.classes.length <= shown;
    $('all-classes').textContent = this.all ? `The first ${shown} alone` : `All ${this.classes.length} classes`;
  }

  // draw draws the image, small ones enlarged, and the map over the part that it covers.
  draw() {
    const {picture, map} = this;
    if (!picture) return;
    const canvas = $('image');
    const scale = Math.min(16, 640 / Math.max(picture.width, picture.height)); // of the image, to what is shown
    canvas.width = Math.max(1, Math.round(picture.width * scale));
    canvas.height = Math.max(1, Math.round(picture.height * scale));
    const c = canvas.getContext('2d');
    c.imageSmoothingEnabled = scale < 2;
    c.imageSmoothingQuality = 'high';
    c.drawImage(picture.bitmap, 0, 0, canvas.width, canvas.height);
    const on = map && $('show-map').checked;
    let label = `The image ${picture.name}`;
    $('map-note').textContent = '\u00a0';
    if (on) {
      const name = this.classes.find((k) => k.index === map.class)?.name;
      const [left, top, right, bottom] = map.region.map((v) => v * scale);
      c.globalCompositeOperation = 'saturation'; // grey, so that the map alone has colours
      c.fillStyle = '#888';
      c.fillRect(left, top, right - left, bottom - top);
      c.globalCompositeOperation = 'source-over';
      c.imageSmoothingEnabled = true;
      c.drawImage(heat(map), left, top, right - left, bottom - top);
      $('map-note').textContent = `Yellow to red speaks for ${name}, blue against it.`;
      label += `; the network sees ${name} most ${where(map)} of the part that it looks at`;
    }
    canvas.setAttribute('aria-label', label);
  }

  async paste() {
    try {
      for (const item of await navigator.clipboard.read()) {
        const type = item.types.find((t) => t.startsWith('image/'));
        if (type) {
          await this.image(await item.getType(type), 'pasted image');
          return;
        }
      }
      this.message('There is no image on the clipboard. Copy one, and paste again.', '');
    } catch (e) {
      this.message(
        `The browser does not show the clipboard to this page (${e.message}); Ctrl+V does, ⌘V on a Mac.`,
        '',
      );
    }
  }

  async camera() {
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: 'environment'}});
    } catch (e) {
      this.message(
        e.name === 'NotFoundError' ? 'The browser finds no camera.' : `The camera can’t be used: ${e.message}`,
      );
      return;
    }
    $('camera-view').srcObject = this.stream;
    $('camera-dialog').showModal();
  }

  async photograph() {
    const view = $('camera-view');
    if (!view.videoWidth) return; // it shows nothing yet
    const still = new OffscreenCanvas(view.videoWidth, view.videoHeight);
    still.getContext('2d').drawImage(view, 0, 0);
    $('camera-dialog').close();
    await this.image(await still.convertToBlob({type: 'image/png'}), 'photo');
  }

  // dark lets go of the camera.
  dark() {
    this.stream?.getTracks().forEach((t) => t.stop());
    this.stream = null;
    $('camera-view').srcObject = null;
  }
}
