//! Conditions on requests and attributes.

use experiment::targeting::{Condition, Field, Matcher, PlainFacts};
use serde_json::{Value, json};

fn facts() -> PlainFacts {
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    PlainFacts {
        path: "/shop/cart".to_owned(),
        host: "www.example.com".to_owned(),
        headers: pairs(&[("x-plan", "Pro"), ("x-version", "2.10.0-rc.1")]),
        cookies: pairs(&[("theme", "dark")]),
        query: pairs(&[("q", "shoes & socks")]),
        country: Some("DE".to_owned()),
        client: Some("::ffff:10.1.2.3".parse().unwrap()),
        attributes: json!({
            "age": 42, "paid": true, "tags": ["beta", "eu"], "user": {"plan": "team"},
            "nothing": null, "object": {}, "dotted.key": "yes", "empty": [],
        })
        .as_object()
        .unwrap()
        .clone(),
    }
}

fn matches(condition: Value) -> bool {
    let condition: Condition = serde_json::from_value(condition).unwrap();
    let text = serde_json::to_string(&condition).unwrap();
    assert_eq!(serde_json::from_str::<Condition>(&text).unwrap(), condition);
    Matcher::new(&condition).unwrap().matches(&facts())
}

#[test]
fn every_test_of_every_field() {
    for (field, is, expected) in [
        ("path", json!({"prefix": "/shop"}), true),
        ("path", json!({"suffix": "/cart"}), true),
        ("path", json!({"contains": "p/c"}), true),
        ("path", json!({"regex": "^/shop/[a-z]+$"}), true),
        ("path", json!({"eq": "/shop"}), false),
        ("host", json!({"eq": "www.example.com"}), true),
        ("host", json!({"ne": "www.example.com"}), false),
        ("country", json!({"in": ["DE", "AT"]}), true),
        ("country", json!({"not-in": ["DE", "AT"]}), false),
        ("header:X-Plan", json!({"eq": "Pro"}), true),
        ("header:x-plan", json!({"eq": "pro"}), false),
        ("header:x-version", json!({"version": ["lt", "2.10.0"]}), true),
        ("header:x-version", json!({"version": ["gt", "v2.9"]}), true),
        ("header:x-plan", json!({"version": ["gt", "1.0.0"]}), false),
        ("cookie:theme", json!({"exists": true}), true),
        ("cookie:other", json!({"exists": true}), false),
        ("cookie:other", json!({"exists": false}), true),
        ("cookie:other", json!({"ne": "x"}), true),
        ("cookie:other", json!({"not-in": ["x"]}), true),
        ("cookie:other", json!({"eq": ""}), false),
        ("query:q", json!({"contains": "& socks"}), true),
        ("client", json!({"cidr": ["10.0.0.0/8"]}), true),
        ("client", json!({"cidr": ["192.168.0.0/16", "2001:db8::/32"]}), false),
        ("attribute:age", json!({"number": ["ge", 42]}), true),
        ("attribute:age", json!({"number": ["lt", 42]}), false),
        ("attribute:age", json!({"eq": "42"}), true),
        ("attribute:paid", json!({"eq": "true"}), true),
        ("attribute:paid", json!({"number": ["eq", 1]}), false),
        ("attribute:tags", json!({"eq": "eu"}), true),
        ("attribute:tags", json!({"ne": "eu"}), false),
        ("attribute:tags", json!({"not-in": ["us"]}), true),
        ("attribute:empty", json!({"exists": true}), true),
        ("attribute:empty", json!({"eq": ""}), false),
        ("attribute:user.plan", json!({"eq": "team"}), true),
        ("attribute:user.other", json!({"exists": false}), true),
        ("attribute:dotted.key", json!({"eq": "yes"}), true),
        ("attribute:nothing", json!({"exists": false}), true),
        ("attribute:object", json!({"exists": true}), true),
        ("attribute:object", json!({"eq": "[object Object]"}), false),
    ] {
        let condition = json!({"match": {"field": field, "is": is}});
        assert_eq!(matches(condition.clone()), expected, "{condition}");
    }
}

/// What holds for some request of the same place, whatever the rest of it is.
#[test]
fn what_is_not_known_may_hold() {
    let place = |is: Value| json!({"match": {"field": "path", "is": is}});
    let (here, there) = (place(json!({"prefix": "/shop"})), place(json!({"prefix": "/blog"})));
    // Neither holds for the request itself.
    let pro = json!({"match": {"field": "header:x-plan", "is": {"eq": "free"}}});
    let none = json!({"not": {"match": {"field": "cookie:theme", "is": {"eq": "dark"}}}});
    for (condition, expected) in [
        (here.clone(), true),
        (there.clone(), false),
        (pro.clone(), true),
        (none.clone(), true),
        (json!({"all": [here, pro]}), true),
        (json!({"all": [pro, there]}), false),
        (json!({"any": [pro, there]}), true),
        (json!({"any": [there, there]}), false),
        (json!({"any": []}), false),
        (json!({"not": {"any": [here, pro]}}), false),
        (json!({"not": {"all": [here, none]}}), true),
        (json!({"growthbook": {"age": {"$lt": 18}}}), true),
    ] {
        let condition: Condition = serde_json::from_value(condition).unwrap();
        let matcher = Matcher::new(&condition).unwrap();
        let is_known = |field: &Field| matches!(field, Field::Path);
        assert_eq!(matcher.may_match(&facts(), is_known), expected, "{condition:?}");
        assert_eq!(matcher.may_match(&facts(), |_| true), matcher.matches(&facts()));
    }
}

#[test]
fn capitals_may_not_matter() {
    for is in [
        json!({"eq": "pRO"}),
        json!({"in": ["PRO"]}),
        json!({"prefix": "P"}),
        json!({"contains": "RO"}),
    ] {
        let condition = json!({"match": {"field": "header:x-plan", "is": is, "ignore-case": true}});
        assert!(matches(condition.clone()), "{condition}");
    }
}

#[test]
fn all_any_not() {
    let yes = json!({"match": {"field": "path", "is": {"exists": true}}});
    let no = json!({"match": {"field": "path", "is": {"eq": "/"}}});
    for (condition, expected) in [
        (json!({"all": [yes, yes]}), true),
        (json!({"all": [yes, no]}), false),
        (json!({"all": []}), true),
        (json!({"any": [no, yes]}), true),
        (json!({"any": [no, no]}), false),
        (json!({"any": []}), false),
        (json!({"not": no}), true),
        (json!({"growthbook": {"age": {"$gte": 18}, "user.plan": "team"}}), true),
        (json!({"growthbook": {"age": {"$lt": 18}}}), false),
    ] {
        assert_eq!(matches(condition.clone()), expected, "{condition}");
    }
}

#[test]
fn limits_of_conditions() {
    let errors = |condition: Value| {
        let condition: Condition = serde_json::from_value(condition).unwrap();
        Matcher::new(&condition).unwrap_err().join("; ")
    };
    let mut deep = json!({"all": []});
    for _ in 0..20 {
        deep = json!({"not": deep});
    }
    assert!(errors(deep).contains("16 deep"));
    assert!(errors(json!({"all": vec![json!({"all": []}); 1_001]})).contains("1000 parts"));
    let list = vec!["x"; 10_001];
    assert!(
        errors(json!({"match": {"field": "path", "is": {"in": list}}})).contains("10000 values")
    );
    let pattern = "(a{1000}){1000}";
    assert!(
        errors(json!({"match": {"field": "path", "is": {"regex": pattern}}})).contains("compiled")
    );
}
