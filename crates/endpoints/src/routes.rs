//! Routes: what an endpoint is called, who answers, and what it is for. One table of them finds the
//! endpoint of a request, and tells people (`/help`) and programs (`/openapi.json`) what there is.

use std::fmt::Write as _;

use meseta_machine::{ContentType, Reply};
use serde_json::{Map, Value, json as value};

use crate::reply::{json, not_found};
use crate::request::{Query, endpoint};

/// One endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Route<E> {
    /// Who answers.
    pub endpoint: E,
    /// Its path, without the process in front. Paths below it are its own too.
    pub path: &'static str,
    /// The methods that it takes.
    pub methods: &'static [&'static str],
    /// What it is for, in one sentence.
    pub summary: &'static str,
    /// The parameters of its query, or of its body where that has the form of one.
    pub parameters: &'static [Parameter],
}

/// How much it takes to answer a request out of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Next to nothing, however large the cluster.
    Light,
    /// Little, or it is for the machine.
    Ordinary,
    /// It grows with the cluster, and others who ask for the same may be given the same answer.
    Heavy,
}

/// A parameter: its name, and what it does.
pub type Parameter = (&'static str, &'static str);

/// Finds the route of a path, and the rest of the path below it.
pub fn find<'r, 's, E>(
    routes: &'r [Route<E>],
    segments: &'s [&'s str],
) -> Option<(&'r Route<E>, &'s [&'s str])> {
    let matches = routes.iter().filter_map(|route| {
        let own = route.path.split('/').filter(|segment| !segment.is_empty());
        let length = own.clone().count();
        let (mine, rest) = segments.split_at_checked(length)?;
        let is_mine = own.zip(mine).all(|(own, given)| own == endpoint(given));
        is_mine.then_some((route, rest))
    });
    // `/api/v1/scheduler` is below `/api/v1`.
    matches.min_by_key(|(_, rest)| rest.len())
}

/// What `/help` answers: all endpoints, or the one that the rest of the path names.
pub fn help<E>(query: Query<'_>, routes: &[Route<E>], process: &str, rest: &[&str]) -> Reply {
    let rest = match rest {
        [first, below @ ..] if *first == process => below,
        rest => rest,
    };
    if query.get("format") == Some("json") {
        let endpoints: Vec<Value> = routes
            .iter()
            .map(|route| value!({"name": route.path, "text": described(route)}))
            .collect();
        let process = value!({"id": process, "endpoints": endpoints});
        return json(query, &value!({"processes": [process]}));
    }
    let text = if rest.is_empty() {
        let lines = routes
            .iter()
            .map(|route| format!("{:32} {}\n", route.path, route.summary));
        format!(
            "# {process}\n\n{}\n`/help/<endpoint>` tells more of one, `/openapi.json` tells programs.\n",
            lines.collect::<String>()
        )
    } else {
        let asked = format!("/{}", rest.join("/"));
        match routes.iter().find(|route| route.path == asked) {
            Some(route) => described(route),
            None => return not_found(),
        }
    };
    Reply {
        content_type: Some(ContentType::Text),
        body: text.into(),
        ..Reply::ok()
    }
}

fn described<E>(route: &Route<E>) -> String {
    let mut text = format!(
        "# {} {}\n\n{}\n",
        route.methods.join(", "),
        route.path,
        route.summary
    );
    if !route.parameters.is_empty() {
        text.push_str("\nParameters:\n\n");
        for (name, about) in route.parameters {
            let _ = writeln!(text, "- `{name}`: {about}");
        }
    }
    text
}

/// What `/openapi.json` answers.
pub fn openapi<E>(query: Query<'_>, routes: &[Route<E>], title: &str, version: &str) -> Reply {
    let mut paths = Map::new();
    for route in routes {
        let mut methods = Map::new();
        for method in route.methods {
            methods.insert(method.to_ascii_lowercase(), operation(route, method));
        }
        paths.insert(route.path.to_owned(), Value::Object(methods));
    }
    let document = value!({
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
    });
    json(query, &document)
}

fn operation<E>(route: &Route<E>, method: &str) -> Value {
    let words = route.path.split('/').filter(|word| !word.is_empty());
    let name = [&method.to_ascii_lowercase()]
        .into_iter()
        .map(String::as_str)
        .chain(words)
        .collect::<Vec<_>>()
        .join("_");
    let answer = value!({"description": "The answer, or in plain text why there is none"});
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), name.into());
    operation.insert("summary".to_owned(), route.summary.into());
    operation.insert("responses".to_owned(), value!({ "default": answer }));
    if route.parameters.is_empty() {
        return Value::Object(operation);
    }
    if method == "POST" {
        let properties: Map<String, Value> = route
            .parameters
            .iter()
            .map(|(name, about)| {
                let property = value!({"type": "string", "description": about});
                ((*name).to_owned(), property)
            })
            .collect();
        let schema = value!({"type": "object", "properties": properties});
        let content = value!({"application/x-www-form-urlencoded": {"schema": schema}});
        operation.insert("requestBody".to_owned(), value!({ "content": content }));
    } else {
        let parameters = route.parameters.iter().map(|(name, about)| {
            let schema = value!({"type": "string"});
            value!({"name": name, "in": "query", "description": about, "schema": schema})
        });
        operation.insert("parameters".to_owned(), parameters.collect());
    }
    Value::Object(operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: [Route<u8>; 3] = [
        Route {
            endpoint: 0,
            path: "/api/v1",
            methods: &["POST"],
            summary: "Calls.",
            parameters: &[],
        },
        Route {
            endpoint: 1,
            path: "/api/v1/scheduler",
            methods: &["POST"],
            summary: "Others.",
            parameters: &[("a", "something")],
        },
        Route {
            endpoint: 2,
            path: "/tasks",
            methods: &["GET"],
            summary: "Tasks.",
            parameters: &[("limit", "how many")],
        },
    ];

    #[test]
    fn the_longest_path_answers_for_those_below_it() {
        let found = |segments: &[&str]| {
            find(&ROUTES, segments).map(|(route, rest)| (route.endpoint, rest.len()))
        };
        assert_eq!(found(&["api", "v1"]), Some((0, 0)));
        assert_eq!(found(&["api", "v1", "state"]), Some((0, 1)));
        assert_eq!(found(&["api", "v1", "scheduler"]), Some((1, 0)));
        assert_eq!(found(&["tasks.json"]), Some((2, 0)));
        assert_eq!(found(&["api"]), None);
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn help_tells_of_all_and_of_one() {
        let text = |rest: &[&str]| {
            let reply = help(Query(&[]), &ROUTES, "master", rest);
            (
                reply.status,
                String::from_utf8(reply.body.to_vec()).unwrap(),
            )
        };
        assert!(
            text(&[])
                .1
                .contains("/tasks                           Tasks.\n")
        );
        let one = "# GET /tasks\n\nTasks.\n\nParameters:\n\n- `limit`: how many\n";
        assert_eq!(text(&["tasks"]), (200, one.to_owned()));
        assert_eq!(text(&["master", "tasks"]), (200, one.to_owned()));
        assert_eq!(text(&["nothing"]).0, 404);
    }

    #[test]
    fn programs_learn_of_every_path_with_its_methods_and_parameters() {
        let reply = openapi(Query(&[]), &ROUTES, "Meseta master", "1.11.0");
        let document: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(document["info"]["title"], "Meseta master");
        let tasks = &document["paths"]["/tasks"]["get"];
        assert_eq!(tasks["operationId"], "get_tasks");
        assert_eq!(tasks["parameters"][0]["name"], "limit");
        let body = &document["paths"]["/api/v1/scheduler"]["post"]["requestBody"];
        assert!(body["content"]["application/x-www-form-urlencoded"].is_object());
    }
}
