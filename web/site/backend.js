// The worker that computes, and what it says.

export class Backend extends EventTarget {
  // start starts the worker anew; what it tells comes as events with the name that is in its messages, data in detail.
  start() {
    this.worker?.terminate();
    this.worker = new Worker('worker.js');
    this.worker.addEventListener('message', ({data}) => this.tell(data));
    this.worker.addEventListener('error', (e) =>
      this.tell({
        is: 'error',
        kind: 'other',
        text: `The program can’t be started: ${e.message ?? 'its worker did not load'}`,
      }),
    );
  }

  tell(data) {
    this.dispatchEvent(new CustomEvent(data.is === 'error' ? 'problem' : data.is, {detail: data}));
  }

  on(is, f) {
    this.addEventListener(is, (e) => f(e.detail));
  }

  // send sends a message; buffers in give are handed over and not copied.
  send(message, give = []) {
    this.worker.postMessage(message, give);
  }
}
