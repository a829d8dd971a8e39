/**
 * How much of a picture is worth sending. Knows nothing about sessions or the network.
 */

/** @typedef {import("./events.js").Wanted} Wanted */

/** What a gateway that says nothing may want. */
const ANY = { sampled_per_second: 1, frame_size: null, max_pixels: 640 * 480 };

// The sampler takes the first picture after its time has come: at five a second that is at most
// 0.2 s old. Fewer make keyframes late and a lost packet felt.
const LEAST_RATE = 5; // pictures a second
const MOST_RATE = 30; // pictures a second
const PREVIEW_RATE = 15; // pictures a second; somebody looks at it
// Twice the model's size a side: the colours of a video have half the resolution of its greys.
const OVERSAMPLING = 2;
const LEAST_SIDE = 240; // pixels; below it, codecs blur more than they save
const BITS = 0.25; // of a pixel at most, which VP8 hardly ever needs
const LEAST_BITRATE = 150_000; // bits a second

/**
 * @param {Wanted} wanted
 * @returns {number} Pictures a second.
 */
function rate({ sampled_per_second: sampled }) {
  return Math.min(Math.max(2 * sampled, LEAST_RATE), MOST_RATE);
}

/**
 * What to ask a browser's camera for, or a screen: `getUserMedia({ video: captureWishes(…) })`.
 * @param {Wanted | null} [wanted] As `Lookback.ready()` and sessions tell it.
 * @returns {{width: {ideal: number}, height: {ideal: number}, frameRate: {ideal: number}}}
 */
export function captureWishes(wanted) {
  const { frame_size: size, max_pixels: pixels } = wanted ?? ANY;
  const most = size ? OVERSAMPLING ** 2 * size[0] * size[1] : pixels;
  // What people see of themselves is no smaller than this; cameras have no odd sizes anyway.
  const [width, height] =
    most > 1280 * 720 ? [1920, 1080] : most > 640 * 480 ? [1280, 720] : [640, 480];
  const frameRate = Math.max(rate(wanted ?? ANY), PREVIEW_RATE);
  return { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: frameRate } };
}

/**
 * @param {Wanted} wanted
 * @param {number} width Of the captured picture, in pixels.
 * @param {number} height
 * @returns {number} By how much each side is made smaller; 1 or more, and the shape stays.
 */
export function reduction({ frame_size: size, max_pixels: pixels }, width, height) {
  const fitting = size
    ? Math.min(width / (OVERSAMPLING * size[0]), height / (OVERSAMPLING * size[1]))
    : Math.sqrt((width * height) / pixels);
  return Math.max(1, Math.min(fitting, Math.min(width, height) / LEAST_SIDE));
}

/**
 * Lets a sender send no more than is wanted. Call it again when the picture's size has changed.
 * @param {RTCRtpSender} sender With a track.
 * @param {Wanted} wanted
 */
export async function limit(sender, wanted) {
  const { width = 0, height = 0 } = sender.track?.getSettings() ?? {};
  const parameters = sender.getParameters();
  const [encoding] = parameters.encodings;
  if (!encoding || !width || !height) return;
  const by = reduction(wanted, width, height);
  if (encoding.maxFramerate && encoding.scaleResolutionDownBy === by) return;
  encoding.maxFramerate = rate(wanted);
  encoding.scaleResolutionDownBy = by;
  encoding.maxBitrate = Math.round(
    Math.max((BITS * rate(wanted) * width * height) / by ** 2, LEAST_BITRATE),
  );
  // Blur is worse than a low frame rate for a model that looks once a second.
  parameters.degradationPreference = "maintain-resolution";
  try {
    await sender.setParameters(parameters);
  } catch (error) {
    // A wish only: browsers without it send as they do.
    console.debug("the browser does not limit what it sends", error);
  }
}
