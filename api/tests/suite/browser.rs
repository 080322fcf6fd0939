//! A browser, as far as signing in needs one: it keeps cookies by host and path, and goes where it is sent.

use std::{collections::BTreeMap, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::{Url, form_urlencoded};

use crate::{
    client::{Answer, send_raw},
    provider::CONSOLE,
};

/// Of a person who has not been anywhere yet.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    /// Where the console is.
    pub(crate) console: SocketAddr,
    /// By origin, path and name.
    cookies: BTreeMap<(String, String, String), String>,
}

/// Where a browser has come to.
#[derive(Debug)]
pub(crate) struct At {
    pub(crate) url: Url,
    pub(crate) answer: Answer,
}

impl Browser {
    pub(crate) fn new(console: SocketAddr) -> Self {
        Self { console, cookies: BTreeMap::new() }
    }

    /// The same browser, led to another process.
    pub(crate) fn at(&self, console: SocketAddr) -> Self {
        Self { console, cookies: self.cookies.clone() }
    }

    /// Reads a stream of the console's to its end.
    pub(crate) async fn read(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.console).await.unwrap();
        let cookie = self.cookie_header(path);
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A cookie of the console's.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(&(CONSOLE.to_owned(), "/".to_owned(), name.to_owned())).map(String::as_str)
    }

    /// What it sends to the console by itself.
    pub(crate) fn cookie_header(&self, path: &str) -> String {
        self.header_for(&Url::parse(CONSOLE).unwrap().join(path).unwrap())
    }

    fn header_for(&self, url: &Url) -> String {
        let origin = url.origin().ascii_serialization();
        let sent = self
            .cookies
            .iter()
            .filter(|((of, path, _), _)| *of == origin && url.path().starts_with(path.as_str()));
        sent.map(|((_, _, name), value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// One request, without going where it leads.
    pub(crate) async fn ask(&mut self, method: &str, url: &Url, form: &[(&str, &str)]) -> Answer {
        let origin = url.origin().ascii_serialization();
        let addr = if origin == CONSOLE { self.console } else { url.socket_addrs(|| None).unwrap()[0] };
        let host = url.authority().to_owned();
        let cookies = self.header_for(url);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let headers = [
            ("host", host.as_str()),
            ("cookie", &cookies),
            ("content-type", "application/x-www-form-urlencoded"),
            // Of somebody who comes from the provider's pages.
            ("sec-fetch-site", "cross-site"),
        ];
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let answer = send_raw(addr, &format!("{method} {target}"), &headers, body.as_bytes()).await;
        for (_, set) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            self.keep(&origin, set);
        }
        answer
    }

    fn keep(&mut self, origin: &str, set: &str) {
        let mut parts = set.split(';').map(str::trim);
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let mut path = "/".to_owned();
        let mut is_gone = value.is_empty();
        for part in parts {
            match part.to_lowercase().split_once('=') {
                Some(("path", of)) => path = of.to_owned(),
                Some(("max-age", age)) => is_gone = age == "0",
                _ => {}
            }
        }
        // Attributes are in lower case above, paths are not.
        if let Some(of) = set.split(';').map(str::trim).find_map(|part| part.strip_prefix("path=")) {
            path = of.to_owned();
        }
        let key = (origin.to_owned(), path, name.to_owned());
        if is_gone {
            self.cookies.remove(&key);
        } else {
            self.cookies.insert(key, value.to_owned());
        }
    }

    /// Goes somewhere, and on for as long as it is sent on; not beyond the console.
    pub(crate) async fn go(&mut self, method: &str, url: &Url, form: &[(&str, &str)]) -> At {
        let (mut url, mut answer) = (url.clone(), self.ask(method, url, form).await);
        for _ in 0..10 {
            if !(300..400).contains(&answer.status) {
                return At { url, answer };
            }
            url = url.join(answer.header("location").unwrap()).unwrap();
            answer = self.ask("GET", &url, &[]).await;
        }
        panic!("sent on for ever, at last to {url}");
    }

    /// Begins to sign in: at the provider's page, or back already if it knows the person.
    pub(crate) async fn start(&mut self, return_to: &str) -> At {
        let mut url = Url::parse(&format!("{CONSOLE}/v1/sign-in/start")).unwrap();
        url.query_pairs_mut().append_pair("return_to", return_to);
        self.go("GET", &url, &[]).await
    }

    /// The address that the provider sends a person back to, once they have said who they are; nobody has gone there.
    pub(crate) async fn returned(&mut self, page: &At, login: &str) -> Url {
        let form = [("login", login), ("password", "secret")];
        let mut answer = self.ask("POST", &page.url, &form).await;
        let mut url = page.url.clone();
        loop {
            assert!((300..400).contains(&answer.status), "{} {} {}", url, answer.status, answer.body);
            url = url.join(answer.header("location").unwrap()).unwrap();
            if url.origin().ascii_serialization() == CONSOLE {
                return url;
            }
            answer = self.ask("GET", &url, &[]).await;
        }
    }

    /// Signs in; where the console sends the browser at last.
    pub(crate) async fn sign_in(&mut self, login: &str, return_to: &str) -> String {
        let page = self.start(return_to).await;
        let back = self.returned(&page, login).await;
        self.arrive(&back).await
    }

    /// Goes back to the console; where that leads.
    pub(crate) async fn arrive(&mut self, back: &Url) -> String {
        let answer = self.ask("GET", back, &[]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer.header("location").unwrap().to_owned()
    }
}
