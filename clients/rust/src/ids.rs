//! Ids under which a thing is done once.

use std::{
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::v1::{BatchPlaceOrdersRequest, OrderSpec, PlaceOrderRequest, ProtectiveLeg};

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const RANDOM_BITS: u32 = 80;

/// A client_order_id or request_id that nobody else makes: the 26 characters of a ULID, 48 bits of time in milliseconds
/// and 80 random ones. Those of one process sort by when they were made.
pub fn new_id() -> String {
    static LAST: Mutex<u128> = Mutex::new(0);
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let random = random_u128() >> (u128::BITS - RANDOM_BITS);
    let mut last = LAST.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    *last = if millis > *last >> RANDOM_BITS { (millis << RANDOM_BITS) | random } else { *last + 1 };
    (0..26).rev().map(|digit| char::from(DIGITS[(*last >> (5 * digit)) as usize & 31])).collect()
}

/// Random bits of the system's.
pub(crate) fn random_u128() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    u128::from_ne_bytes(bytes)
}

/// The id in a request's field, made where there is none.
pub(crate) fn made(id: &mut String) -> String {
    if id.is_empty() {
        *id = new_id();
    }
    id.clone()
}

/// That of an order. The legs of a bracket and the others of an OCO group are named after it where they have no id of
/// their own, so that a repeat names them alike.
pub(crate) fn of_order(request: &mut PlaceOrderRequest) -> String {
    let id = made(&mut request.client_order_id);
    name_legs(request.order.as_mut(), &id);
    for (number, other) in (2..).zip(&mut request.oco_orders) {
        if other.client_order_id.is_empty() {
            other.client_order_id = format!("{id}-{number}");
        }
    }
    id
}

/// That of the first order of a batch; each gets its own.
pub(crate) fn of_batch(request: &mut BatchPlaceOrdersRequest) -> String {
    for item in &mut request.orders {
        let id = made(&mut item.client_order_id);
        name_legs(item.order.as_mut(), &id);
    }
    request.orders.first().map(|item| item.client_order_id.clone()).unwrap_or_default()
}

fn name_legs(order: Option<&mut OrderSpec>, id: &str) {
    let name = |leg: &mut Option<ProtectiveLeg>, end| {
        if let Some(leg) = leg.as_mut().filter(|leg| leg.client_order_id.is_empty()) {
            leg.client_order_id = format!("{id}-{end}");
        }
    };
    if let Some(order) = order {
        name(&mut order.take_profit, "tp");
        name(&mut order.stop_loss, "sl");
    }
}
