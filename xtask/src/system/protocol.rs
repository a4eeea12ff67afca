//! What the interfaces say about the services of a description.

use gritos_system::{RIGHT_GRANT, RIGHT_SEND};
use idlc::ir::{BadgeClass, Interface, Package, Protocol, Reference};
use idlc::suggest::did_you_mean;

use super::findings::{At, Finding};
use super::tree::list;

/// Protocols that only the root task speaks.
const OF_THE_ROOT_TASK: (&str, &str) = ("gritos.base", "Supervision");

/// The interfaces of the tree.
#[derive(Clone, Copy)]
pub(crate) struct Protocols<'a> {
    interface: &'a Interface,
}

impl<'a> Protocols<'a> {
    pub(crate) fn new(interface: &'a Interface) -> Self {
        Self { interface }
    }

    /// The protocols that a service with this `protocol` speaks: those of the one server in the
    /// package, of the server named, or, where there is no server, of the package.
    pub(crate) fn find(self, protocol: &At<String>) -> Result<Vec<&'a Protocol>, Box<Finding>> {
        let name = &protocol.it;
        let packages = &self.interface.packages;
        if let Some(package) = self.interface.package(name) {
            return match package.servers.as_slice() {
                [] if package.protocols.is_empty() => Err(Box::new(unknown(
                    protocol,
                    format!("package `{name}` declares no protocol"),
                ))),
                [] => Ok(package.protocols.iter().collect()),
                [server] => Ok(self.all(&server.protocols)),
                servers => {
                    let names: Vec<_> = servers
                        .iter()
                        .map(|server| format!("{name}.{}", server.info.name))
                        .collect();
                    Err(Box::new(
                        unknown(
                            protocol,
                            format!("package `{name}` declares several servers"),
                        )
                        .help(format!("say which: {}", list(&names))),
                    ))
                }
            };
        }
        let server = name.rsplit_once('.').and_then(|(package, server)| {
            let package = self.interface.package(package)?;
            package.servers.iter().find(|s| s.info.name == server)
        });
        if let Some(server) = server {
            return Ok(self.all(&server.protocols));
        }
        let known: Vec<_> = packages
            .iter()
            .filter(|package| !package.servers.is_empty())
            .map(|package| package.name.as_str())
            .collect();
        Err(Box::new(
            unknown(
                protocol,
                format!("there is no package `{name}` in any .gidl file under servers/"),
            )
            .maybe_help(did_you_mean(name, known.iter().copied()))
            .help(format!("packages with a server are {}", list(&known))),
        ))
    }

    /// Name of the package that a service's protocols are from.
    pub(crate) fn package(self, protocol: &str) -> &str {
        match protocol.rsplit_once('.') {
            Some((package, _)) if self.interface.package(protocol).is_none() => package,
            _ => protocol,
        }
    }

    fn all(self, references: &[Reference]) -> Vec<&'a Protocol> {
        let found = references.iter();
        found
            .filter_map(|name| self.interface.protocol(name))
            .collect()
    }

    /// The mask of a right at a service that speaks `protocol`; one of a protocol that is not known
    /// has none, as that is reported where it is offered.
    pub(crate) fn right(self, protocol: &str, right: &At<String>) -> Result<u32, Box<Finding>> {
        match right.it.as_str() {
            "SEND" => return Ok(RIGHT_SEND),
            "GRANT" => return Ok(RIGHT_GRANT),
            _ => {}
        }
        let place = At::new(protocol.to_string(), right.place.clone());
        let Ok(protocols) = self.find(&place) else {
            return Ok(0);
        };
        let mut known = vec!["GRANT"];
        for protocol in protocols {
            let declared = protocol.rights.iter().find(|r| r.info.name == right.it);
            let refused = match declared {
                Some(_) if self.is_of_root(protocol) => format!(
                    "`{}` belongs to `{}`, which only the root task speaks",
                    right.it, protocol.info.name
                ),
                Some(_) if protocol.class == BadgeClass::Object => format!(
                    "`{}` is a right to what the service hands out as `{}`; a component gets a session",
                    right.it, protocol.info.name
                ),
                Some(right) => return Ok(right.value as u32),
                None => {
                    if protocol.class != BadgeClass::Object && !self.is_of_root(protocol) {
                        known.extend(protocol.rights.iter().map(|r| r.info.name.as_str()));
                    }
                    continue;
                }
            };
            return Err(Box::new(Finding::error(
                "right-not-grantable",
                &right.place,
                refused,
            )));
        }
        Err(Box::new(
            Finding::error(
                "unknown-right",
                &right.place,
                format!("no protocol of the service declares a right `{}`", right.it),
            )
            .maybe_help(did_you_mean(&right.it, known.iter().copied()))
            .help(format!(
                "rights are {} (pass capabilities along){}; SEND comes with every use",
                list(&known[..1]),
                known[1..]
                    .iter()
                    .map(|name| format!(", `{name}`"))
                    .collect::<String>()
            )),
        ))
    }

    fn is_of_root(self, protocol: &Protocol) -> bool {
        let (package, name) = OF_THE_ROOT_TASK;
        let declared = self.interface.package(package);
        protocol.info.name == name && declared.is_some_and(|package| has(package, protocol))
    }

    /// Whether a client of the service can wait without end for its answer: some method that a
    /// session can call has an answer and no deadline.
    pub(crate) fn can_wait(self, protocol: &At<String>) -> bool {
        let protocols = self.find(protocol).unwrap_or_default();
        protocols
            .iter()
            .filter(|protocol| protocol.class != BadgeClass::Object && !self.is_of_root(protocol))
            .flat_map(|protocol| &protocol.methods)
            .any(|method| !method.oneway && method.deadline_ns.is_none())
    }
}

fn has(package: &Package, protocol: &Protocol) -> bool {
    package.protocols.iter().any(|p| std::ptr::eq(p, protocol))
}

fn unknown(protocol: &At<String>, message: String) -> Finding {
    Finding::error("unknown-protocol", &protocol.place, message)
}
