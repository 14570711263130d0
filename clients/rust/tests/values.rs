//! What needs no gateway: decimals, ids, batches.

use std::{collections::HashSet, str::FromStr as _};

use bigdecimal::BigDecimal;
use brokergate_client::{
    Code, Error, Unary as _, decimal, decimal_text, new_id,
    v1::{self, BatchOrder, BatchPlaceOrdersRequest, ErrorReason, OrderSpec, PlaceOrderRequest, ProtectiveLeg},
};

fn refused(error: Error) {
    assert_eq!((error.code, error.reason), (Code::InvalidArgument, ErrorReason::InvalidField));
    assert_eq!(error.violations[0].field, "x");
}

#[test]
fn decimals_of_the_contract_pass_at_their_limits_too_and_all_else_is_refused() {
    let widest = format!("-{}.{}", "9".repeat(20), "9".repeat(18));
    for text in ["0", "-0.5", "00.10", "0.000000000000000001", &widest] {
        let number = decimal(text, "x").unwrap();
        assert_eq!(number, BigDecimal::from_str(text).unwrap());
        assert_eq!(decimal(&decimal_text(&number, "x").unwrap(), "x").unwrap(), number);
    }
    assert_eq!(decimal_text(&BigDecimal::from_str("1e-18").unwrap(), "x").unwrap(), "0.000000000000000001");
    assert_eq!(decimal_text(&BigDecimal::from_str("1e19").unwrap(), "x").unwrap(), format!("1{}", "0".repeat(19)));
    let too_long = ["9".repeat(21), format!("0.{}", "1".repeat(19))];
    let wrong = ["", " 1", "1 ", "+1", "1e5", "1.", ".1", "-", "--1", "NaN", "١", "1_0", "0x1", "1.2.3"];
    for text in wrong.into_iter().chain(too_long.iter().map(String::as_str)) {
        refused(decimal(text, "x").unwrap_err());
    }
    for text in ["1e20", "1e-19", "1e1000000000", "1e-1000000000"] {
        refused(decimal_text(&BigDecimal::from_str(text).unwrap(), "x").unwrap_err());
    }
}

#[test]
fn ids_are_long_sortable_and_unique() {
    let ids: Vec<String> = (0..10_000).map(|_| new_id()).collect();
    assert!(ids.is_sorted());
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    assert!(ids.iter().all(|id| id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())));
}

#[test]
fn every_order_of_a_request_gets_an_id_that_a_repeat_keeps() {
    let order = || Some(OrderSpec { take_profit: Some(ProtectiveLeg::default()), ..OrderSpec::default() });
    let mut place = PlaceOrderRequest { order: order(), oco_orders: vec![Default::default()], ..Default::default() };
    let id = place.id();
    assert_eq!(place.client_order_id, id);
    assert_eq!(place.id(), id);
    assert_eq!(place.order.unwrap().take_profit.unwrap().client_order_id, format!("{id}-tp"));
    assert_eq!(place.oco_orders[0].client_order_id, format!("{id}-2"));

    let given = BatchOrder { client_order_id: "mine".to_owned(), order: order() };
    let mut batch = BatchPlaceOrdersRequest { orders: vec![given, BatchOrder::default()], ..Default::default() };
    assert_eq!(batch.id(), "mine");
    assert_eq!(batch.orders[1].client_order_id.len(), 26);
    assert_eq!(v1::ListOrdersRequest::default().id(), "");
}

#[test]
fn an_error_inside_an_answer_is_typed_a_newer_reason_too() {
    let item = v1::Error { reason: 9999, code: 3, message: "no".to_owned(), ..v1::Error::default() };
    let error = Error::from(&item);
    assert_eq!(
        (error.code, error.reason, error.reason_name.as_str()),
        (Code::InvalidArgument, ErrorReason::Unspecified, "9999")
    );
}
