/**
 * From a file to the model's input, as `data/images.py` and `data/preprocessing.py` of the project do it: decoded,
 * turned upright, resized by Pillow's antialiased bilinear filter and cropped. The same pixels give the same bytes.
 */

const BITS = 22; // of the fixed-point weights in Pillow's resampling of 8-bit pictures
const HALF = 2 ** (BITS - 1);
const ROWS = 64; // of the result that are read at a time: a phone's photograph needs no second copy in memory

/** @typedef {{width: number, height: number, channels: number, values: ArrayLike<number>}} Picture row by row */

/** Decodes a file into an upright RGB picture, what is transparent on white; of an animation the first frame. */
export async function decode(file, leastSide) {
  // Color profiles are ignored, as in training.
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const head = new Uint8Array(await file.slice(0, 8).arrayBuffer());
  const picture = reduce(bitmap, reduction(head, bitmap, leastSide));
  bitmap.close();
  return picture;
}

/** How many times the service makes a picture smaller while it decodes it: JPEG by powers of 2, phones' formats. */
function reduction(head, { width, height }, leastSide) {
  const times = Math.floor(Math.min(width, height) / (2 * leastSide));
  if (head[0] === 0xff && head[1] === 0xd8) return [8, 4, 2].find((power) => times >= power) ?? 1;
  const isPhones = String.fromCharCode(...head.slice(4)) === "ftyp";
  return isPhones ? Math.max(1, times) : 1;
}

/** Averages squares of `times` by `times` pixels, which at the right and at the bottom may be cut off. */
function reduce(bitmap, times) {
  const [width, height] = [Math.ceil(bitmap.width / times), Math.ceil(bitmap.height / times)];
  const values = new Uint8Array(3 * width * height);
  for (let top = 0; top < height; top += ROWS) {
    const rows = Math.min(ROWS, height - top);
    const strip = readRows(bitmap, top * times, Math.min(rows * times, bitmap.height - top * times));
    for (let y = 0; y < rows; y += 1) {
      for (let x = 0; x < width; x += 1) averageInto(values, 3 * ((top + y) * width + x), strip, x * times, y * times, times);
    }
  }
  return { width, height, channels: 3, values };
}

function readRows(bitmap, top, rows) {
  const canvas = new OffscreenCanvas(bitmap.width, rows).getContext("2d", { willReadFrequently: true });
  canvas.fillStyle = "white";
  canvas.fillRect(0, 0, bitmap.width, rows);
  canvas.drawImage(bitmap, 0, top, bitmap.width, rows, 0, 0, bitmap.width, rows);
  return canvas.getImageData(0, 0, bitmap.width, rows);
}

function averageInto(values, place, { width, height, data }, left, top, times) {
  const [right, bottom] = [Math.min(left + times, width), Math.min(top + times, height)];
  const count = (right - left) * (bottom - top);
  for (let channel = 0; channel < 3; channel += 1) {
    let sum = 0;
    for (let y = top; y < bottom; y += 1) {
      for (let x = left; x < right; x += 1) sum += data[4 * (y * width + x) + channel];
    }
    values[place + channel] = Math.floor((sum + count / 2) / count);
  }
}

/**
 * Resizes an upright picture so that its shorter side is `resize` long, and cuts a square out of its middle.
 *
 * @param {Picture} picture
 * @param {{resize: number, crop: number}} preprocessing the crop is not larger than what it is cut out of
 * @returns {{pixels: Uint8Array, crop: {left: number, top: number, width: number, height: number}}}
 *   the crop also as shares of the picture's width and height
 */
export function toPixels(picture, { resize, crop }) {
  const { width, height } = picture;
  const longer = Math.trunc((resize * Math.max(width, height)) / Math.min(width, height));
  const [wide, high] = width <= height ? [resize, longer] : [longer, resize];
  const [left, top] = [halfToEven((wide - crop) / 2), halfToEven((high - crop) / 2)];
  const columns = windows(width, (left * width) / wide, ((left + crop) * width) / wide, crop);
  const rows = windows(height, (top * height) / high, ((top + crop) * height) / high, crop);
  // Pillow begins with the height where more than twice as many lines as columns are to go.
  const isTall = height - crop > 2 * Math.max(0, width - crop);
  const across = (image) => resample(image, columns, toByte);
  const down = (image) => resample(image, rows, toByte);
  const { values: pixels } = isTall ? transpose(across(down(transpose(picture)))) : down(across(picture));
  const shares = { left: left / wide, top: top / high, width: crop / wide, height: crop / high };
  return { pixels: Uint8Array.from(pixels), crop: shares };
}

function halfToEven(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Resizes a map of one channel to a square, without rounding: Pillow's mode F. */
export function enlarge(map, side) {
  const exactly = (sum) => sum / 2 ** BITS;
  const wide = resample(map, windows(map.width, 0, map.width, side, false), exactly);
  return resample(wide, windows(map.height, 0, map.height, side, false), exactly).values;
}

/**
 * The weights of the places between two ends of a line of `length` places, for each place of the result. Pillow keeps
 * the ends in single precision, and the rest in double.
 */
function windows(length, start, end, side, isRounded = true) {
  const from = Math.fround(start);
  const scale = Math.fround(Math.fround(end) - from) / side;
  const spread = Math.max(scale, 1);
  return Array.from({ length: side }, (_, place) => {
    const center = from + (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - spread + 0.5));
    const last = Math.min(length, Math.trunc(center + spread + 0.5));
    const weights = Array.from({ length: last - first }, (_, x) => Math.max(0, 1 - Math.abs((x + first - center + 0.5) / spread)));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const fixed = weights.map((weight) => (weight / sum) * 2 ** BITS);
    return { first, weights: isRounded ? fixed.map((weight) => Math.trunc(weight + 0.5)) : fixed };
  });
}

/** Resizes every row, and returns columns in place of rows: done twice, a picture is resized and upright again. */
function resample({ width, height, channels, values }, columns, finish) {
  const resized = new Float64Array(columns.length * height * channels);
  columns.forEach(({ first, weights }, x) => {
    for (let y = 0; y < height; y += 1) {
      for (let channel = 0; channel < channels; channel += 1) {
        let sum = 0;
        for (let i = 0; i < weights.length; i += 1) {
          sum += weights[i] * values[(y * width + first + i) * channels + channel];
        }
        resized[(x * height + y) * channels + channel] = finish(sum);
      }
    }
  });
  return { width: height, height: columns.length, channels, values: resized };
}

function transpose({ width, height, channels, values }) {
  const turned = new Uint8Array(values.length);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      for (let channel = 0; channel < channels; channel += 1) {
        turned[(x * height + y) * channels + channel] = values[(y * width + x) * channels + channel];
      }
    }
  }
  return { width: height, height: width, channels, values: turned };
}

function toByte(sum) {
  return Math.min(255, Math.floor((sum + HALF) / 2 ** BITS));
}
