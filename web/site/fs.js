// Files in memory, for a program that Go compiled: it expects those functions of Node's fs that package syscall calls.
// What lies below /kept stays in the browser's storage, where it has one. It must run before wasm_exec.js.
'use strict';

(() => {
  const flags = {O_WRONLY: 1, O_RDWR: 2, O_CREAT: 64, O_EXCL: 128, O_TRUNC: 512, O_APPEND: 1024, O_DIRECTORY: 65536};
  const keptBelow = '/kept/';
  const decoder = new TextDecoder();

  const fail = (code) => Object.assign(new Error(code), {code});
  const now = () => Date.now();
  const folder = () => ({children: new Map(), mtime: now(), ino: ++inodes});
  const file = () => ({data: new Uint8Array(0), size: 0, mtime: now(), ino: ++inodes});
  let inodes = 0;
  const root = folder();
  const open = new Map(); // by descriptor: {node, path, at, append}
  let next = 3;

  const parts = (path) => path.split('/').reduce((list, p) => {
    if (p === '..') list.pop();
    else if (p && p !== '.') list.push(p);
    return list;
  }, []);

  // find is the entry of a path; the last folder on the way with a name in it for one that is not there.
  function find(path) {
    const names = parts(path);
    let node = root;
    let parent = null;
    for (const [i, name] of names.entries()) {
      if (!node.children) throw fail('ENOTDIR');
      parent = node;
      node = node.children.get(name);
      if (!node && i < names.length - 1) throw fail('ENOENT');
    }
    return {node, parent, name: names.at(-1)};
  }
  function existing(path) {
    const found = find(path);
    if (!found.node) throw fail('ENOENT');
    return found;
  }
  function stat(node) {
    const isDir = Boolean(node.children);
    const ms = node.mtime;
    return {
      dev: 1, ino: node.ino, mode: isDir ? 0o40755 : 0o100644, nlink: 1, uid: 0, gid: 0, rdev: 0,
      size: isDir ? 0 : node.size, blksize: 4096, blocks: Math.ceil((node.size ?? 0) / 512),
      atimeMs: ms, mtimeMs: ms, ctimeMs: ms, isDirectory: () => isDir,
    };
  }
  function resize(node, size) {
    if (size > node.data.length) {
      const larger = new Uint8Array(Math.max(size, 2 * node.data.length));
      larger.set(node.data.subarray(0, node.size));
      node.data = larger;
    }
    if (size < node.size) node.data.fill(0, size, node.size);
    node.size = size;
    node.mtime = now();
  }
  function descriptor(fd) {
    const d = open.get(fd);
    if (!d) throw fail('EBADF');
    return d;
  }

  // The browser's storage: one store of files by their paths.
  const storage = typeof indexedDB === 'undefined' ? null : indexedDB;
  const request = (r) => new Promise((resolve, reject) => {
    r.onsuccess = () => resolve(r.result);
    r.onerror = () => reject(r.error);
  });
  async function store(mode, use) {
    const opening = storage.open('ninvk', 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore('files');
    const db = await request(opening);
    try {
      return await use(db.transaction('files', mode).objectStore('files'));
    } finally {
      db.close();
    }
  }
  // keep writes what became of a file to the storage. Where there is no room it is lost with the page, and made anew.
  function keep(path) {
    const whole = `/${parts(path).join('/')}`;
    if (!storage || !whole.startsWith(keptBelow)) return;
    const {node} = find(whole);
    const change = node ? (s) => request(s.put(node.data.slice(0, node.size), whole)) : (s) => request(s.delete(whole));
    store('readwrite', change).catch(() => {});
  }

  let line = '';
  function print(fd, bytes) {
    line += decoder.decode(bytes, {stream: true});
    const end = line.lastIndexOf('\n');
    if (end >= 0) {
      (fd === 2 ? console.error : console.log)(line.slice(0, end));
      line = line.slice(end + 1);
    }
  }

  const calls = {
    open(path, how, mode) {
      const {node, parent, name} = find(path);
      if (node && how & flags.O_CREAT && how & flags.O_EXCL) throw fail('EEXIST');
      if (!node && !(how & flags.O_CREAT)) throw fail('ENOENT');
      if (node && node.children && how & (flags.O_WRONLY | flags.O_RDWR)) throw fail('EISDIR');
      if (node && !node.children && how & flags.O_DIRECTORY) throw fail('ENOTDIR');
      const opened = node ?? file();
      if (!node) parent.children.set(name, opened);
      if (how & flags.O_TRUNC && !opened.children) resize(opened, 0);
      open.set(next, {node: opened, path, at: 0, append: Boolean(how & flags.O_APPEND), written: !node});
      return next++;
    },
    close(fd) {
      const d = descriptor(fd);
      open.delete(fd);
      if (d.written) keep(d.path);
    },
    read(fd, buffer, offset, length, position) {
      const d = descriptor(fd);
      if (d.node.children) throw fail('EISDIR');
      const at = position ?? d.at;
      const n = Math.max(0, Math.min(length, d.node.size - at));
      buffer.set(d.node.data.subarray(at, at + n), offset);
      if (position === null || position === undefined) d.at += n;
      return n;
    },
    write(fd, buffer, offset, length, position) {
      if (fd === 1 || fd === 2) return globalThis.fs.writeSync(fd, buffer.subarray(offset, offset + length));
      const d = descriptor(fd);
      const at = d.append ? d.node.size : position ?? d.at;
      if (at + length > d.node.size) resize(d.node, at + length);
      d.node.data.set(buffer.subarray(offset, offset + length), at);
      d.node.mtime = now();
      d.written = true;
      if (position === null || position === undefined) d.at = at + length;
      return length;
    },
    ftruncate(fd, length) {
      const d = descriptor(fd);
      resize(d.node, length);
      d.written = true;
    },
    truncate(path, length) {
      resize(existing(path).node, length);
      keep(path);
    },
    fstat: (fd) => stat(descriptor(fd).node),
    stat: (path) => stat(existing(path).node),
    lstat: (path) => stat(existing(path).node),
    mkdir(path) {
      const {node, parent, name} = find(path);
      if (node) throw fail('EEXIST');
      parent.children.set(name, folder());
    },
    readdir(path) {
      const {node} = existing(path);
      if (!node.children) throw fail('ENOTDIR');
      return [...node.children.keys()];
    },
    rename(from, to) {
      const old = existing(from);
      const place = find(to);
      if (place.node && place.node.children) throw fail(place.node.children.size ? 'ENOTEMPTY' : 'EISDIR');
      old.parent.children.delete(old.name);
      place.parent.children.set(place.name, old.node);
      keep(from);
      keep(to);
    },
    rmdir(path) {
      const {node, parent, name} = existing(path);
      if (!node.children) throw fail('ENOTDIR');
      if (node.children.size) throw fail('ENOTEMPTY');
      parent.children.delete(name);
    },
    unlink(path) {
      const {node, parent, name} = existing(path);
      if (node.children) throw fail('EISDIR');
      parent.children.delete(name);
      keep(path);
    },
    utimes(path, accessed, modified) {
      existing(path).node.mtime = modified * 1000;
    },
    fsync() {},
    chmod: (path) => void existing(path),
    fchmod: (fd) => void descriptor(fd),
    chown: (path) => void existing(path),
    fchown: (fd) => void descriptor(fd),
    lchown: (path) => void existing(path),
    link() { throw fail('ENOSYS'); },
    symlink() { throw fail('ENOSYS'); },
    readlink() { throw fail('EINVAL'); },
  };

  const fs = {
    constants: flags,
    writeSync(fd, bytes) {
      print(fd, bytes);
      return bytes.length;
    },
  };
  for (const [name, call] of Object.entries(calls)) {
    fs[name] = (...args) => {
      const done = args.pop();
      let result;
      try {
        result = call(...args);
      } catch (e) {
        done(e.code ? e : Object.assign(e, {code: 'EIO'}));
        return;
      }
      done(null, result);
    };
  }
  for (const path of ['/tmp', '/kept']) root.children.set(path.slice(1), folder());
  globalThis.fs = fs;

  // A process in the folder /, as Node has one.
  globalThis.process ??= {
    getuid: () => 0, getgid: () => 0, geteuid: () => 0, getegid: () => 0, getgroups: () => [0], pid: 1, ppid: 0,
    umask: () => 0o22, cwd: () => '/', chdir() { throw fail('ENOSYS'); },
  };

  // What a program is told of its surroundings.
  globalThis.surroundings = {HOME: '/', TMPDIR: '/tmp', XDG_CACHE_HOME: '/kept'};

  // restored is settled when the files are there that the storage has kept.
  globalThis.restored = (async () => {
    if (!storage) return;
    const [paths, contents] = await store('readonly', (s) =>
      Promise.all([request(s.getAllKeys()), request(s.getAll())]),
    );
    for (const [i, path] of paths.entries()) {
      const names = parts(path);
      let node = root;
      for (const name of names.slice(0, -1)) {
        if (!node.children.has(name)) node.children.set(name, folder());
        node = node.children.get(name);
      }
      node.children.set(names.at(-1), Object.assign(file(), {data: contents[i], size: contents[i].length}));
    }
  })().catch(() => {}); // without storage, as in a private window, nothing is kept
})();
