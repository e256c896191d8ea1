// A worker that decodes images, so that a large photo does not hold up the page.

// An image of more pixels than mostPixels is shrunk while it is read; what is shown has at most shownSide a side.
const mostPixels = 16e6;
const shownSide = 1024;

const scaled = (image, scale) =>
  createImageBitmap(image, {
    resizeWidth: Math.max(1, Math.round(image.width * scale)),
    resizeHeight: Math.max(1, Math.round(image.height * scale)),
    resizeQuality: 'high',
    premultiplyAlpha: 'none',
  });

// read decodes a file. With shorter, an image whose shorter side is longer is shrunk to that. With show, there is a
// picture to show, too.
async function read({file, shorter, show}) {
  let image = await createImageBitmap(file, {premultiplyAlpha: 'none'});
  let scale = Math.min(1, Math.sqrt(mostPixels / (image.width * image.height)));
  if (shorter) scale = Math.min(scale, shorter / Math.min(image.width, image.height));
  if (scale < 1) image = await scaled(image, scale);
  const {width, height} = image;
  const context = new OffscreenCanvas(width, height).getContext('2d', {willReadFrequently: true});
  context.drawImage(image, 0, 0);
  const bitmap = show ? await scaled(image, Math.min(1, shownSide / Math.max(width, height))) : null;
  return {width, height, rgba: context.getImageData(0, 0, width, height).data.buffer, bitmap, shrunk: scale < 1};
}

onmessage = async ({data}) => {
  try {
    const image = await read(data);
    postMessage({id: data.id, image}, image.bitmap ? [image.rgba, image.bitmap] : [image.rgba]);
  } catch (e) {
    postMessage({id: data.id, problem: e.message});
  }
};
