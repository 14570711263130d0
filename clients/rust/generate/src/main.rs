//! Writes the contract in Rust: prost's messages, and for each RPC an `impl` that ties its request to its path, its
//! answer and the id that makes a repeat safe. `generate DESCRIPTORS FOLDER`: a whole `FileDescriptorSet` with source info, and where `brokergate.v1.rs` goes.

use std::{collections::HashSet, env, error::Error, fmt::Write as _, fs};

use prost::Message as _;
use prost_build::{Config, Service, ServiceGenerator};
use prost_types::FileDescriptorSet;

/// Every request of the contract belongs to one RPC alone, so that the request's type says all of the call.
struct Rpcs {
    /// The messages that have a `request_id`, by their names in Rust.
    with_request_id: HashSet<String>,
}

impl ServiceGenerator for Rpcs {
    fn generate(&mut self, service: Service, out: &mut String) {
        for method in &service.methods {
            let path = format!("/{}.{}/{}", service.package, service.proto_name, method.proto_name);
            let (request, response) = (&method.input_type, &method.output_type);
            let kind = if method.client_streaming || method.server_streaming { "Streaming" } else { "Unary" };
            writeln!(out, "impl crate::{kind} for {request} {{").unwrap();
            writeln!(out, "    type Response = {response};").unwrap();
            writeln!(out, "    const PATH: &'static str = \"{path}\";").unwrap();
            if kind == "Unary" {
                let id = match request.as_str() {
                    "PlaceOrderRequest" => Some("crate::ids::of_order(self)"),
                    "BatchPlaceOrdersRequest" => Some("crate::ids::of_batch(self)"),
                    name if self.with_request_id.contains(name) => Some("crate::ids::made(&mut self.request_id)"),
                    _ => None,
                };
                if let Some(id) = id {
                    writeln!(out, "    fn id(&mut self) -> String {{ {id} }}").unwrap();
                }
            }
            writeln!(out, "}}").unwrap();
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    let [_, descriptors, folder] = arguments.as_slice() else {
        return Err("usage: generate DESCRIPTORS FOLDER".into());
    };
    let set = FileDescriptorSet::decode(fs::read(descriptors)?.as_slice())?;
    let messages = set.file.iter().flat_map(|file| &file.message_type);
    let with_request_id = messages
        .filter(|message| message.field.iter().any(|field| field.name() == "request_id"))
        .map(|message| message.name().to_owned())
        .collect();
    Config::new().service_generator(Box::new(Rpcs { with_request_id })).out_dir(folder).compile_fds(set)?;
    Ok(())
}
