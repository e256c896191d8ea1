// What to say where the browser has no WebGPU.

const versions = [
  'Chrome and Edge 113 or later on Windows, macOS and ChromeOS, 121 or later on Android',
  'Safari 26 or later on macOS, iOS and iPadOS',
  'Firefox 141 or later on Windows, 145 or later on Macs with Apple silicon',
];

const linux = /Linux/.test(navigator.userAgent) && !/Android/.test(navigator.userAgent);
const firefox = /Firefox\//.test(navigator.userAgent);
const chromium = /Chrome\//.test(navigator.userAgent);

// switches are ways to switch WebGPU on in this browser.
function switches() {
  const list = [];
  if (chromium) {
    list.push(
      'See that “Use graphics acceleration when available” is on in chrome://settings/system, and restart the browser.',
    );
    list.push('Open chrome://flags/#enable-unsafe-webgpu, choose Enabled, and restart the browser.');
    if (linux)
      list.push('On Linux also enable chrome://flags/#enable-vulkan, or WebGPU has no GPU, only the processor.');
    list.push('chrome://gpu tells what the browser has found, and what it has switched off.');
  }
  if (firefox) list.push('Open about:config, set dom.webgpu.enabled to true, and restart the browser.');
  return list;
}

// missing says why nothing can be computed here, as {title, text, list}; null where it can.
export async function missing() {
  const have = {text: 'These browsers have WebGPU:', list: versions};
  if (!globalThis.isSecureContext) {
    return {
      title: 'This address is not secure',
      text: 'Browsers have WebGPU only on pages from https, and from this machine. Open the page so:',
      list: ['by an address that begins with https://', 'by http://localhost:PORT/, on the machine that serves it'],
    };
  }
  if (!navigator.gpu) {
    const list = switches();
    return {title: 'This browser has no WebGPU', text: `${have.text}`, list: [...have.list, ...list]};
  }
  try {
    if (await navigator.gpu.requestAdapter()) return null;
  } catch (e) {
    return {
      title: 'WebGPU does not start',
      text: `The browser says: ${e.message}. What may help:`,
      list: [...switches(), ...have.list],
    };
  }
  return {title: 'WebGPU has no adapter here', text: 'This browser has WebGPU, but offers nothing to compute with: no '
    + 'graphics driver that it trusts. What may help:', list: switches().length ? switches() : have.list};
}
