// Fetches the WebAssembly program, tells how much of it has come, and starts it; from then on the program answers.
importScripts('fs.js', 'wasm_exec.js'); // files, then what starts programs of Go

const file = 'ninvk.wasm.gz';
const fail = (kind, text) => postMessage({is: 'error', kind, text});

// What the program writes last on its standard error, should it end before its time.
let said = '';
const write = fs.writeSync;
fs.writeSync = (fd, buffer) => {
  said = (said + new TextDecoder().decode(buffer)).slice(-4000);
  return write(fd, buffer);
};

// unpacked is a stream without its gzip. Some hosts unpack such files themselves.
async function unpacked(stream) {
  const reader = stream.getReader();
  const first = await reader.read();
  const rest = new ReadableStream({
    start(c) {
      if (first.value) c.enqueue(first.value);
    },
    async pull(c) {
      const {done, value} = await reader.read();
      if (done) c.close();
      else c.enqueue(value);
    },
  });
  const packed = first.value?.[0] === 0x1f && first.value[1] === 0x8b;
  return packed ? rest.pipeThrough(new DecompressionStream('gzip')) : rest;
}

async function load(name) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name}: the server answers ${answer.status} ${answer.statusText}`);
  return answer;
}

// readAsset is what the program loads when it needs it, an ArrayBuffer. Files that the program unpacks itself have
// their name; others lie packed.
globalThis.readAsset = async (name) => {
  if (name.endsWith('.gz')) return (await load(name)).arrayBuffer();
  return new Response(await unpacked((await load(`${name}.gz`)).body)).arrayBuffer();
};

async function start() {
  const answer = await load(file);
  const of = Number(answer.headers.get('Content-Length'));
  let done = 0;
  let told = 0;
  const counted = answer.body.pipeThrough(new TransformStream({
    transform(chunk, c) {
      done += chunk.length;
      if (done - told > 50000 || done === of) {
        told = done;
        postMessage({is: 'loading', done, of});
      }
      c.enqueue(chunk);
    },
  }));
  const headers = {'Content-Type': 'application/wasm'};
  const go = new Go();
  Object.assign(go.env, surroundings);
  await restored;
  const {instance} = await WebAssembly.instantiateStreaming(
    new Response(await unpacked(counted), {headers}),
    go.importObject,
  );
  let code = 0;
  go.exit = (c) => {
    code = c;
  };
  await go.run(instance);
  const memory = /out of memory|cannot allocate/.test(said);
  fail(memory ? 'memory' : 'other', memory ? 'The browser gave the program no more memory.'
    : `The program has ended (${code}). ${said.trim().split('\n').slice(0, 3).join(' ')}`);
}

start().catch((e) => fail(e instanceof RangeError ? 'memory' : 'other', `The program can’t be started: ${e.message}`));
