//! Rules to paste. Addresses and numbers get into them, and of what a client sent only agents of harmless
//! characters.

use ipnet::IpNet;

/// Longest agent that gets into a rule.
const AGENT_BYTES_MAX: usize = 300;

/// A rule for tidegate and the same for nginx.
pub(super) struct Rule {
    pub(super) tidegate: String,
    pub(super) nginx: String,
}

/// Refuses `network`; no rule without one, as for a client that is logged by its host name.
pub(super) fn deny(network: Option<IpNet>) -> Rule {
    match network.map(short) {
        None => none(),
        Some(network) => Rule {
            tidegate: format!("[route.site]\ndeny = [\"{network}\"]\n"),
            nginx: format!("deny {network};\n"),
        },
    }
}

/// Slows down clients that ask more than `per_minute` times a minute.
pub(super) fn limit_clients(per_minute: u64) -> Rule {
    let burst = per_minute.max(1);
    Rule {
        tidegate: format!(
            "[route.site]\nrate-limit = {{ key = \"client-ip\", rate = \"{burst}/m\", burst = {burst} }}\n"
        ),
        nginx: format!(
            "# in http\nlimit_req_zone $binary_remote_addr zone=clients:10m rate={burst}r/m;\n\
             # in server or location\nlimit_req zone=clients burst={burst} nodelay;\n"
        ),
    }
}

/// Slows down one agent that asks more than `per_minute` times a minute, all its clients together, and
/// nobody else. No rule for an agent that could mean something in a configuration file.
pub(super) fn limit_agent(agent: &str, per_minute: u64) -> Rule {
    let burst = per_minute.max(1);
    if !is_harmless(agent) {
        return none();
    }
    Rule {
        tidegate: format!(
            "[route.agent]\nmatch = {{ header = {{ user-agent = \"{agent}\" }} }}\nupstream = \"site\"\n\
             rate-limit = {{ key = \"route\", rate = \"{burst}/m\", burst = {burst} }}\n"
        ),
        nginx: format!(
            "# in http\nmap_hash_bucket_size 512;\nmap $http_user_agent $limited_agent {{ default \"\"; \"{agent}\" agent; }}\n\
             limit_req_zone $limited_agent zone=agent:1m rate={burst}r/m;\n\
             # in server or location\nlimit_req zone=agent burst={burst} nodelay;\n"
        ),
    }
}

/// Whether the text is one plain value between double quotes, in TOML and in nginx's `map`.
fn is_harmless(agent: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b" /.,:;()+_@=-".contains(&byte);
    let means_more = ["", "default", "hostnames", "include", "volatile"].contains(&agent);
    !means_more && agent.len() <= AGENT_BYTES_MAX && agent.bytes().all(is_plain)
}

/// Leaves servers that fail alone for a while.
pub(super) fn spare_servers() -> Rule {
    Rule {
        tidegate: "[upstream.site]\nejection = true\n\
                   retry = { attempts = 1, on = [\"connect\", \"reset\", \"502\", \"503\"] }\n"
            .to_owned(),
        nginx:
            "proxy_next_upstream error timeout http_502 http_503;\nproxy_next_upstream_tries 2;\n"
                .to_owned(),
    }
}

/// No rule helps.
pub(super) fn none() -> Rule {
    Rule { tidegate: String::new(), nginx: String::new() }
}

/// A network of one address as that address.
fn short(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.trunc().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_agent_breaks_out_of_its_rule() {
        let agent = "Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)";
        assert!(limit_agent(agent, 60).tidegate.contains(agent));
        for agent in ["a\" }\nx", "a\\", "~x", "$x", "default", "", "a\u{7f}", "é", "#x", "{x}"] {
            assert!(limit_agent(agent, 60).nginx.is_empty(), "{agent:?}");
        }
    }
}
