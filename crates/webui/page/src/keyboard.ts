/** What programs in a terminal are sent for keys, as xterm sends it. */

export interface Pressed {
  key: string;
  ctrlKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
  metaKey: boolean;
}

/** Keys that move, by the last letter of their sequence. */
const MOVES: Record<string, string> = {
  ArrowUp: "A",
  ArrowDown: "B",
  ArrowRight: "C",
  ArrowLeft: "D",
  End: "F",
  Home: "H",
  F1: "P",
  F2: "Q",
  F3: "R",
  F4: "S",
};

/** Keys whose sequence has a number. */
const NUMBERED: Record<string, number> = {
  Insert: 2,
  Delete: 3,
  PageUp: 5,
  PageDown: 6,
  F5: 15,
  F6: 17,
  F7: 18,
  F8: 19,
  F9: 20,
  F10: 21,
  F11: 23,
  F12: 24,
};

const ESCAPE = "\x1b";

const PLAIN: Record<string, string> = {
  Enter: "\r",
  Backspace: "\x7f",
  Tab: "\t",
  Escape: ESCAPE,
};

/** Signs that make a control character; letters do as well. */
const CONTROLS: Record<string, string> = {
  " ": "\0",
  "@": "\0",
  "[": ESCAPE,
  "\\": "\x1c",
  "]": "\x1d",
  "^": "\x1e",
  _: "\x1f",
  "?": "\x7f",
};

/**
 * What a key sends, or nothing where the browser knows better: it makes texts of keys, with dead keys and
 * other scripts. `application` says that a program has asked for the other form of keys that move.
 */
export function sent(pressed: Pressed, application: boolean): string | undefined {
  const { key, ctrlKey, altKey, shiftKey, metaKey } = pressed;
  // Shift and Tab together lead out of the terminal, for those who have no mouse.
  if (metaKey || (key === "Tab" && shiftKey)) return undefined;
  const held = 1 + (shiftKey ? 1 : 0) + (altKey ? 2 : 0) + (ctrlKey ? 4 : 0);
  const move = MOVES[key];
  if (move !== undefined) {
    if (held > 1) return `${ESCAPE}[1;${held}${move}`;
    return `${ESCAPE}${application || key.startsWith("F") ? "O" : "["}${move}`;
  }
  const number = NUMBERED[key];
  if (number !== undefined) {
    return `${ESCAPE}[${number}${held > 1 ? `;${held}` : ""}~`;
  }
  const before = altKey ? ESCAPE : "";
  if (key === "Backspace" && ctrlKey) return `${before}\b`;
  const plain = PLAIN[key];
  if (plain !== undefined) return before + plain;
  // Both of them together are how many keyboards write ordinary signs.
  if (ctrlKey && altKey) return undefined;
  if (ctrlKey) return control(key);
  if (altKey && key.length === 1) return before + key;
  return undefined;
}

function control(key: string): string | undefined {
  if (/^[a-z]$/i.test(key)) return String.fromCharCode(key.toUpperCase().charCodeAt(0) - 64);
  return CONTROLS[key];
}

/** A text from elsewhere, as programs expect it: they are told if they asked to be. */
export function pasted(text: string, bracketed: boolean): string {
  const typed = text.replace(/\r?\n/g, "\r");
  // What ends a paste must not be in it: the rest would count as typed.
  return bracketed ? `${ESCAPE}[200~${typed.replaceAll(ESCAPE, "")}${ESCAPE}[201~` : typed;
}
