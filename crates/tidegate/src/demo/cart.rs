//! The shop's cart in three versions, what the shop itself saw of them, and its orders.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use hyper::HeaderMap;
use hyper::header::COOKIE;

use crate::experiments::now_us;

/// The header that says which version is wanted.
const HEADER: &str = "x-cart";
/// The cookie that says who asks: an id and a signature.
pub(crate) const COOKIE_NAME: &str = "visitor";
/// What an order is worth.
pub(crate) const PRICE: f64 = 9.5;
/// Most visitors that are remembered.
const VISITORS_MAX: usize = 20_000;
/// Most orders that wait for the till.
const ORDERS_MAX: usize = 20_000;

/// A version of the cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cart {
    /// Quick to show, and asks for a lot.
    Today,
    /// Asks for less, on a page that takes longer.
    OnePage,
    /// Was never tried with a real payment.
    Express,
}

impl Cart {
    /// The version that a request asks for; none for the shop of the day.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Cart> {
        match headers.get(HEADER)?.as_bytes() {
            b"today" => Some(Cart::Today),
            b"one-page" => Some(Cart::OnePage),
            b"express" => Some(Cart::Express),
            _ => None,
        }
    }

    /// How long a clerk works on the page.
    pub(crate) fn page_ms(self) -> u64 {
        match self {
            Cart::Today | Cart::Express => 4,
            Cart::OnePage => 12,
        }
    }

    /// How long a clerk works on an order.
    pub(crate) fn order_ms(self) -> u64 {
        match self {
            Cart::Today | Cart::OnePage => 8,
            Cart::Express => 1,
        }
    }

    /// How many questions the page asks.
    pub(crate) fn questions(self) -> u32 {
        match self {
            Cart::Today => 7,
            Cart::OnePage | Cart::Express => 5,
        }
    }
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// It was paid.
    Bought,
    /// The visitor lost patience.
    Left,
    /// The shop broke.
    Failed,
}

/// An order that was paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sale {
    pub(crate) number: u64,
    pub(crate) visitor: String,
}

/// What the shop saw of the express cart: a witness who knows nothing of experiments.
#[derive(Debug, Clone, Default)]
pub(crate) struct Witness {
    /// Who was shown it.
    shown: HashSet<String>,
    /// Who of them was shown another one since.
    back: HashSet<String>,
    /// When it was shown last, microseconds since 1970.
    pub(crate) last_us: Option<i64>,
    /// Pages of other versions since then.
    pub(crate) pages_since: u64,
}

impl Witness {
    /// Visitors who were shown it.
    pub(crate) fn shown(&self) -> usize {
        self.shown.len()
    }

    /// Those who were shown another version since.
    pub(crate) fn back(&self) -> usize {
        self.back.len()
    }

    fn saw(&mut self, cart: Cart, visitor: Option<&str>) {
        let visitor = visitor.filter(|_| self.shown.len() < VISITORS_MAX).map(str::to_owned);
        if cart == Cart::Express {
            self.last_us = Some(now_us());
            self.pages_since = 0;
            self.shown.extend(visitor);
        } else {
            self.pages_since += 1;
            self.back.extend(visitor.filter(|visitor| self.shown.contains(visitor)));
        }
    }
}

/// The desk that all servers of the shop share.
#[derive(Debug, Default)]
pub(crate) struct Desk(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    witness: Witness,
    sales: Vec<Sale>,
    numbers: u64,
}

impl Desk {
    /// Shows a page or takes an order with a version of the cart.
    pub(crate) fn saw(&self, cart: Cart, headers: &HeaderMap) {
        self.with(|inner| inner.witness.saw(cart, visitor_of(headers)));
    }

    /// Takes an order: a form with the questions that were asked and the visitor's patience.
    pub(crate) fn order(&self, cart: Cart, headers: &HeaderMap, form: &[u8]) -> Order {
        if cart == Cart::Express {
            return Order::Failed;
        }
        let form = String::from_utf8_lossy(form);
        let number = |name: &str| -> Option<u32> {
            let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(key, _)| *key == name)?.1.parse().ok()
        };
        match (number("questions"), number("patience")) {
            (Some(questions), Some(patience)) if patience >= questions => {}
            _ => return Order::Left,
        }
        self.with(|inner| {
            inner.numbers += 1;
            let visitor = visitor_of(headers).filter(|_| inner.sales.len() < ORDERS_MAX);
            let sale =
                visitor.map(|visitor| Sale { number: inner.numbers, visitor: visitor.to_owned() });
            inner.sales.extend(sale);
        });
        Order::Bought
    }

    /// What was sold since the last time.
    pub(crate) fn take_sales(&self) -> Vec<Sale> {
        self.with(|inner| std::mem::take(&mut inner.sales))
    }

    /// What was seen of the express cart.
    pub(crate) fn witness(&self) -> Witness {
        self.with(|inner| inner.witness.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The visitor's id, without its signature.
fn visitor_of(headers: &HeaderMap) -> Option<&str> {
    let fields = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = fields.flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim() == COOKIE_NAME)?;
    value.rsplit_once('.').map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, cookie.parse().unwrap());
        headers
    }

    #[test]
    fn patience_decides_and_the_visitor_is_known() {
        let desk = Desk::default();
        let ann = headers("a=b; visitor=ann.sig");
        let order = |cart, form: &str| desk.order(cart, &ann, form.as_bytes());
        assert_eq!(order(Cart::Today, "questions=7&patience=6"), Order::Left);
        assert_eq!(order(Cart::Today, "questions=7&patience=7"), Order::Bought);
        assert_eq!(order(Cart::Express, "questions=5&patience=10"), Order::Failed);
        assert_eq!(order(Cart::OnePage, "nonsense"), Order::Left);
        assert_eq!(desk.take_sales(), [Sale { number: 1, visitor: "ann".to_owned() }]);
        assert_eq!(desk.take_sales(), []);
    }

    #[test]
    fn the_witness_knows_who_came_back() {
        let desk = Desk::default();
        let (ann, bob) = (headers("visitor=ann.sig"), headers("visitor=bob.sig"));
        desk.saw(Cart::Today, &bob);
        desk.saw(Cart::Express, &ann);
        desk.saw(Cart::Today, &ann);
        desk.saw(Cart::OnePage, &bob);
        let witness = desk.witness();
        assert_eq!((witness.shown(), witness.back(), witness.pages_since), (1, 1, 2));
        assert!(witness.last_us.is_some());
    }
}
