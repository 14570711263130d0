/**
 * Exact numbers: every decimal string of the contract is a `Decimal` on this side, in requests and answers alike.
 *
 * The contract writes prices, quantities and amounts as `-?[0-9]{1,20}(\.[0-9]{1,18})?`, and nothing in its descriptors
 * tells such a string from another; so they are found by name.
 */
import {
  create,
  isMessage,
  type DescField,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
  ScalarType,
} from "@bufbuild/protobuf";
import { Decimal as Base } from "decimal.js";
import { refusal } from "./errors.js";

/** decimal.js with room for sums and products of the contract's 38 digits; its own default rounds to 20. */
export const Decimal = Base.clone({ defaults: true, precision: 100 });
export type Decimal = Base;

/** What is taken for a decimal. A `number` is not: 0.1 has no exact one. */
export type Exactly = Decimal | string | bigint;

const DECIMAL_FIELDS = [
  ...["amount", "askPrice", "askQuantity", "available", "averagePrice", "averageVolume", "bidPrice", "bidQuantity"],
  ...["closePrice", "cost", "cumNotional", "cumQuantity", "daySeconds", "displayQuantity", "estimatedFillQuantity"],
  ...["estimatedPrice", "executionSeconds", "fixedAmount", "held", "highPrice", "lastPrice", "latencyDeviationMs"],
  ...["leavesQuantity", "leverage", "limitPrice", "lowPrice", "makerFeePercent", "markPrice", "maxQuantity"],
  ...["minNotional", "minQuantity", "multiplier", "openPrice", "participationPercent", "percent", "price"],
  ...["priceIncrement", "quantity", "quantityIncrement", "quoteQuantity", "ratePercent", "requestLatencyMs"],
  ...["responseLatencyMs", "sharesOutstanding", "stopPrice", "takerFeePercent", "total", "trailAmount"],
  ...["trailPercent", "volatilityPercent", "volume"],
] as const;
type DecimalField = (typeof DECIMAL_FIELDS)[number];
const decimalFields: ReadonlySet<string> = new Set(DECIMAL_FIELDS);

type Plain = string | number | bigint | boolean | Uint8Array | undefined;

/** A message of the contract with `Decimal` where that has a decimal string. */
export type Exact<T> = T extends Plain
  ? T
  : T extends { case: infer C extends string; value: infer V }
    ? { case: C; value: C extends DecimalField ? OfDecimal<V> : Exact<V> }
    : T extends (infer U)[]
      ? Exact<U>[]
      : { [K in keyof T]: K extends DecimalField ? OfDecimal<T[K]> : Exact<T[K]> };
type OfDecimal<V> = V extends string ? Decimal : Exact<V>;

/** What a request is made from: the fields that matter, decimals as `Exactly`. */
export type ExactInit<T> = T extends Plain
  ? T
  : T extends { case: infer C extends string; value: infer V }
    ? { case: C; value: C extends DecimalField ? OfExactly<V> : ExactInit<V> }
    : T extends (infer U)[]
      ? readonly ExactInit<U>[]
      : T extends { $typeName: string }
        ? {
            [K in keyof T as K extends "$typeName" | "$unknown" ? never : K]?: K extends DecimalField
              ? OfExactly<T[K]>
              : ExactInit<T[K]>;
          }
        : { [K in keyof T]: ExactInit<T[K]> };
type OfExactly<V> = V extends string ? Exactly : ExactInit<V>;

const CONTRACT = /^-?[0-9]{1,20}(\.[0-9]{1,18})?$/;

/** `value` as the contract writes it. Throws `GatewayError` (INVALID_ARGUMENT, naming `field`) for what does not fit. */
export function decimalText(value: unknown, field: string): string {
  const text = Base.isDecimal(value) ? value.toFixed() : typeof value === "bigint" ? value.toString() : value;
  if (typeof text === "string" && CONTRACT.test(text)) return text;
  const hint = typeof value === "number" ? "a number is not exact; give a Decimal or text" : "";
  const description =
    `${JSON.stringify(String(text).slice(0, 64))} is not a decimal of at most 20 digits before the point and 18 ` +
    `after it, in plain notation${hint && `: ${hint}`}`;
  throw refusal(field, description);
}

// What to do about one field of a message: it is a decimal itself, or holds messages that have some.
interface Step {
  readonly field: DescField;
  readonly inside: DescMessage | undefined;
}

const plans = new Map<DescMessage, readonly Step[]>();

function planOf(desc: DescMessage): readonly Step[] {
  let plan = plans.get(desc);
  if (plan === undefined) {
    const steps: Step[] = [];
    plans.set(desc, steps);
    for (const field of desc.fields) {
      if (isDecimal(field)) steps.push({ field, inside: undefined });
      const inside = field.fieldKind === "message" || field.fieldKind === "list" ? field.message : undefined;
      if (inside?.typeName.startsWith("brokergate.") && planOf(inside).length > 0) steps.push({ field, inside });
    }
    plan = steps;
  }
  return plan;
}

/** Whether a field holds a decimal. */
export function isDecimal(field: DescField): boolean {
  return field.fieldKind === "scalar" && field.scalar === ScalarType.STRING && decimalFields.has(field.localName);
}

type Fields = Record<string, any>;

/**
 * `message`, changed in place into its exact form. Text that is no decimal, which the gateway does not send, becomes
 * NaN: it is not zero, and cannot be sent on.
 */
export function toExact<D extends DescMessage>(desc: D, message: MessageShape<D>): Exact<MessageShape<D>> {
  exactIn(desc, message as unknown as Fields);
  return message as unknown as Exact<MessageShape<D>>;
}

function exactIn(desc: DescMessage, message: Fields): void {
  for (const { field, inside } of planOf(desc)) {
    const holder = field.oneof === undefined ? message : message[field.oneof.localName];
    if (field.oneof !== undefined && holder.case !== field.localName) continue;
    const key = field.oneof === undefined ? field.localName : "value";
    const value = holder[key];
    if (value === undefined) continue;
    if (inside === undefined) holder[key] = CONTRACT.test(value) ? new Decimal(value) : new Decimal(NaN);
    else if (field.fieldKind === "list") for (const item of value) exactIn(inside, item);
    else exactIn(inside, value);
  }
}

/**
 * The message that `init` describes; a message that was made already is sent as it is. Throws as `decimalText`, with the
 * field's path in the contract's names.
 */
export function toMessage<D extends DescMessage>(
  desc: D,
  init: ExactInit<MessageShape<D>> | MessageShape<D>,
): MessageShape<D> {
  if (isMessage(init, desc)) return init;
  return create(desc, plainOf(desc, init as Fields, "") as MessageInitShape<D>);
}

function plainOf(desc: DescMessage, init: Fields, path: string): Fields {
  const plan = planOf(desc);
  if (plan.length === 0) return init;
  // Without its type's name a part of an answer is an init like any other, whatever was put into it.
  const { $typeName: _, ...plain }: Fields = init;
  for (const { field, inside } of plan) {
    const name = path + field.name;
    const change = (value: any): any => {
      if (inside === undefined) return decimalText(value, name);
      if (field.fieldKind !== "list") return plainOf(inside, value, `${name}.`);
      return value.map((item: Fields, index: number) => plainOf(inside, item, `${name}[${index}].`));
    };
    if (field.oneof === undefined) {
      const value = plain[field.localName];
      if (value !== undefined) plain[field.localName] = change(value);
    } else {
      const chosen = plain[field.oneof.localName];
      if (chosen?.case === field.localName) {
        plain[field.oneof.localName] = { case: chosen.case, value: change(chosen.value) };
      }
    }
  }
  return plain;
}
