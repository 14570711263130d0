/** Ids under which a thing is done once. */
import { randomBytes } from "node:crypto";

const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const RANDOM_BITS = 80n;

let lastTime = 0n;
let lastRandom = 0n;

/**
 * A client_order_id or request_id that nobody else makes: 26 characters of a ULID, 48 bits of time in milliseconds and
 * 80 random ones. Those of one process sort by when they were made.
 */
export function newId(): string {
  const now = BigInt(Date.now());
  if (now > lastTime) {
    lastTime = now;
    lastRandom = BigInt(`0x${randomBytes(10).toString("hex")}`);
  } else {
    lastRandom += 1n;
  }
  let value = (lastTime << RANDOM_BITS) + lastRandom;
  let id = "";
  for (let index = 0; index < 26; index++) {
    id = DIGITS[Number(value & 31n)] + id;
    value >>= 5n;
  }
  return id;
}
