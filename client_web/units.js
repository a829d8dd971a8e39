/**
 * Numbers as a person reads them.
 */

/**
 * @param {number} seconds Of stream time.
 * @returns {string} As 1:05, or as 2:01:05 from an hour on.
 */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/**
 * @param {number} seconds
 * @returns {string} With the digits that matter.
 */
export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  return seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

/**
 * @param {number} bytes
 * @returns {string} In decimal units.
 */
export function size(bytes) {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(0)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(2)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/**
 * @param {number} count
 * @returns {string} With separators between thousands.
 */
export function number(count) {
  return count.toLocaleString("en");
}
