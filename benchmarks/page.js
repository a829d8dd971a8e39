/**
 * One measurement in a page of the gateway's: a camera that is sent as it comes, or only as much
 * of it as is wanted. Run by benchmarks/page.py.
 */

import { Lookback, captureWishes } from "/clients/js/index.js";

const [WIDTH, HEIGHT, BITS] = [640, 480, 10];
const RATE = 30;

/** A texture that drifts, and a bar code of each picture's number, as benchmarks/barcode.py has. */
function drawn() {
  const texture = new OffscreenCanvas(40, 30);
  const blocks = texture.getContext("2d");
  const pixels = blocks.createImageData(40, 30);
  for (let at = 0, value = 1; at < pixels.data.length; at++) {
    value = (value * 48271) % 2147483647;
    pixels.data[at] = at % 4 === 3 ? 255 : 30 + (value % 196);
  }
  blocks.putImageData(pixels, 0, 0);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const context = canvas.getContext("2d");
  const times = [];
  const draw = (number) => {
    for (const x of [0, -WIDTH]) {
      context.drawImage(texture, x + ((2 * number) % WIDTH), 0, WIDTH, HEIGHT);
    }
    const marks = [1, 0, ...(number % 256).toString(2).padStart(8, "0")].map(Number);
    marks.forEach((bit, place) => {
      context.fillStyle = bit ? "#fff" : "#000";
      const [left, right] = [(place * WIDTH) / BITS, ((place + 1) * WIDTH) / BITS];
      context.fillRect(left, 0, right - left, HEIGHT / 6);
    });
    times.push([number % 256, (performance.timeOrigin + performance.now()) / 1000]);
  };
  let number = 0;
  draw(0);
  const timer = setInterval(() => draw(++number), 1000 / RATE);
  return { stream: canvas.captureStream(RATE), times, stop: () => clearInterval(timer) };
}

/** As pages send where nobody limits them. */
async function send(session, stream) {
  const peer = new RTCPeerConnection();
  const [track] = stream.getVideoTracks();
  const { sender } = peer.addTransceiver(track, { direction: "sendonly", streams: [stream] });
  await peer.setLocalDescription();
  await new Promise((resolve) => {
    peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && resolve();
  });
  const { sdp, type } = peer.localDescription;
  const reply = await fetch(`/v1/sessions/${session.id}/offer`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ sdp, type }),
  });
  await peer.setRemoteDescription(await reply.json());
  const parameters = sender.getParameters();
  parameters.degradationPreference = "maintain-resolution";
  await sender.setParameters(parameters);
  return { stats: () => peer.getStats(), close: () => peer.close() };
}

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function outbound(camera) {
  for (const one of (await camera.stats()).values()) {
    if (one.type === "outbound-rtp" && one.kind === "video") return one;
  }
  throw new Error("nothing is sent");
}

/** Begins to send; `measure(seconds)` and `end()` follow. */
export async function begin(kind, limited) {
  const session = await new Lookback(location.origin).open();
  const plain = { width: { ideal: WIDTH }, height: { ideal: HEIGHT }, frameRate: { ideal: RATE } };
  const video = limited ? captureWishes(session.described) : plain;
  const source =
    kind === "camera"
      ? { stream: await navigator.mediaDevices.getUserMedia({ video }), times: [], stop() {} }
      : drawn();
  const preview = document.createElement("video");
  preview.muted = true;
  preview.srcObject = source.stream;
  document.body.append(preview);
  await preview.play();
  const camera = limited ? await session.publish(source.stream) : await send(session, source.stream);
  return {
    session: session.id,
    async measure(seconds) {
      const [before, began] = [await outbound(camera), performance.now()];
      await sleep(seconds);
      const [after, took] = [await outbound(camera), (performance.now() - began) / 1000];
      const rate = (name) => (after[name] - before[name]) / took;
      return {
        width: after.frameWidth,
        height: after.frameHeight,
        fps: rate("framesEncoded"),
        bytes: rate("bytesSent") + rate("headerBytesSent"),
        encoding: rate("totalEncodeTime"),
        times: source.times,
      };
    },
    async end() {
      source.stop();
      for (const track of source.stream.getTracks()) track.stop();
      preview.remove();
      camera.close();
      await session.close();
    },
  };
}
