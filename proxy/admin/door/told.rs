//! The door's part of the OpenAPI document: how to bring a token, and how each operation can be refused.
//!
//! Made from the same rules that the door goes by, over the finished table: no handler repeats them.

use axum::http::Method;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Required};

use super::{generation, needs};

/// What the scheme is called in the document.
const BEARER: &str = "bearer";

/// Writes it in.
pub fn tell(document: &mut OpenApi) {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token of the configuration (`admin.tokens`). Without tokens there, callers on the same machine need none."))
        .build();
    let components = document.components.get_or_insert_default();
    let scheme = SecurityScheme::Http(scheme);
    components
        .security_schemes
        .insert(BEARER.into(), scheme.into());
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in [
            (Method::GET, &mut item.get),
            (Method::POST, &mut item.post),
            (Method::PATCH, &mut item.patch),
            (Method::PUT, &mut item.put),
            (Method::DELETE, &mut item.delete),
        ] {
            if let Some(operation) = operation {
                one(path, &method, operation);
            }
        }
    }
}

fn one(path: &str, method: &Method, operation: &mut Operation) {
    let mut refused = |status: &str, why: &str| {
        let responses = &mut operation.responses.responses;
        let problem = || RefOr::T(problem(why));
        responses.entry(status.into()).or_insert_with(problem);
    };
    refused("421", "called by a name that is not its own");
    refused(
        "429",
        "too many requests of this address, or too many wrong tokens; `Retry-After` says when to come again",
    );
    let Some(role) = needs::role(method, path) else {
        return;
    };
    let role = role.as_str();
    refused("401", "no token, or a wrong one");
    if needs::changes(method) {
        let why = format!("the token's role is less than {role}, or a page of another site asks");
        refused("403", &why);
        refused("408", "the body did not come");
        refused(
            "409",
            "another process takes over at this moment; nothing was changed",
        );
        refused(
            "412",
            "`If-Match` names another generation than the one in use",
        );
        refused("413", "the body has more than 1 MiB");
        refused("415", "the body is not JSON");
        let header = ParameterBuilder::new()
            .name("If-Match")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("the `ETag` of what the change was decided on; refused when something else is in use"))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build();
        let parameters = operation.parameters.get_or_insert_default();
        parameters.push(RefOr::T(header));
    } else if generation::is_tagged(path)
        && let Some(RefOr::T(ok)) = operation.responses.responses.get_mut("200")
    {
        let tag = utoipa::openapi::HeaderBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .description(Some("the generation in use, in quotes: for `If-Match`"))
            .build();
        ok.headers.insert("ETag".into(), RefOr::T(tag));
    }
    let needed = SecurityRequirement::new(BEARER, [role]);
    operation.security = Some(vec![needed]);
}

fn problem(why: &str) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("ProblemView")))
        .build();
    ResponseBuilder::new()
        .description(why)
        .content("application/problem+json", content)
        .build()
}
