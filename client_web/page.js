/**
 * The elements of index.html, found by id, and the addresses beside it.
 */

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function find(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`index.html has no ${type.name} “${id}”`);
  return element;
}

/**
 * @param {string} path Below the page's own address.
 * @returns {URL}
 */
export function address(path) {
  return new URL(path, document.baseURI);
}
