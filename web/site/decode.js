// A worker that decodes images, so that a large photo does not hold up the page.

// Sides of an image in pixels: beyond mostPixels in all an image is shrunk while it is read.
const mostPixels = 16e6;

// read decodes a file. With shorter, an image whose shorter side is longer is shrunk to that.
async function read({file, shorter}) {
  const whole = await createImageBitmap(file, {premultiplyAlpha: 'none'});
  const {width, height} = whole;
  let scale = Math.min(1, Math.sqrt(mostPixels / (width * height)));
  if (shorter) scale = Math.min(scale, shorter / Math.min(width, height));
  const w = Math.max(1, Math.round(width * scale));
  const h = Math.max(1, Math.round(height * scale));
  let image = whole;
  if (scale < 1) {
    image = await createImageBitmap(whole, {resizeWidth: w, resizeHeight: h, resizeQuality: 'high', premultiplyAlpha: 'none'});
    whole.close();
  }
  const context = new OffscreenCanvas(w, h).getContext('2d', {willReadFrequently: true});
  context.drawImage(image, 0, 0);
  image.close();
  return {width: w, height: h, rgba: context.getImageData(0, 0, w, h).data.buffer, shrunk: scale < 1};
}

onmessage = async ({data}) => {
  try {
    const image = await read(data);
    postMessage({id: data.id, image}, [image.rgba]);
  } catch (e) {
    postMessage({id: data.id, problem: e.message});
  }
};
