// How much of a picture is sent, without a network.

import assert from "node:assert/strict";
import { test } from "node:test";

import { captureWishes } from "../../../clients/js/index.js";
import { limit, reduction } from "../../../clients/js/sending.js";

const small = { sampled_per_second: 1, frame_size: [96, 96], max_pixels: 9216 };
const large = { sampled_per_second: 2, frame_size: null, max_pixels: 1280 * 720 };

test("a camera is asked for what the model can take, and what a person wants to see", () => {
  const ideal = (wanted) => Object.values(captureWishes(wanted)).map((wish) => wish.ideal);
  assert.deepEqual(ideal(small), [640, 480, 15]);
  assert.deepEqual(ideal(null), [640, 480, 15]);
  assert.deepEqual(ideal(large), [1280, 720, 15]);
  assert.deepEqual(ideal({ ...large, sampled_per_second: 10 }), [1280, 720, 20]);
});

test("pictures keep their shape, and as many pixels as are used", () => {
  assert.equal(reduction(small, 640, 480), 2); // no less than 240 lines
  assert.equal(reduction(small, 160, 120), 1); // never made larger
  assert.equal(reduction(large, 1280, 720), 1);
  assert.equal(reduction(large, 3840, 2160), 3);
  assert.equal(reduction(large, 720, 2560), Math.sqrt(2)); // a phone, held upright
});

test("a sender is told its limits, and again only when the picture's size has changed", async () => {
  const told = [];
  let size = { width: 3840, height: 2160 };
  const parameters = { encodings: [{}] };
  const sender = {
    track: { getSettings: () => size },
    getParameters: () => parameters,
    setParameters: async ({ encodings: [encoding] }) => told.push({ ...encoding }),
  };
  await limit(sender, large);
  await limit(sender, large);
  size = { width: 1280, height: 720 };
  await limit(sender, large);
  assert.deepEqual(told.map((one) => [one.maxFramerate, one.scaleResolutionDownBy]), [[5, 3], [5, 1]]);
  assert.equal(told[0].maxBitrate, 0.25 * 5 * 1280 * 720);
});
