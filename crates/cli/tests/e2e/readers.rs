//! What published clients of Mesos need, so that they need no change: a test for each way in which
//! a compatible server has broken somebody, and for each program that reads a cluster.
//!
//! | way to break a client | test |
//! |---|---|
//! | names that end in `.json` are gone | `wire::streams_flow_…`, `visitors::mesos_cli_…`, `published::mesos_cli_…` |
//! | a record is not one chunk, or has a second newline | `wire::each_record_…`, `clients::the_example_of_mesos_framework_…` |
//! | no record follows SUBSCRIBED | `wire::a_heartbeat_follows_…` |
//! | lengths count characters | `wire::each_record_…` |
//! | `Connection: close`, `//api/v1/scheduler`, paths below others, `slave%281%29` | `wire::streams_flow_…` |
//! | unknown fields of requests, lists in lists | `wire::unknown_fields_…` |
//! | fields or names in events that Mesos does not have | `wire::events_hold_…` |
//! | numbers as text, doubles without a point, bytes not in base64 | `wire::numbers_and_bytes_…`, `wire::a_heartbeat_follows_…` |
//! | a version of more than digits | `wire::versions_…` |
//! | other reasons than Mesos's, or a redirect instead of 405 | `wire::answers_have_…` |
//! | a `Location` with a scheme | `wire::the_leader_…`, `monitors::nagios_…` |
//! | a uuid in answers to reconciliation | `updates::answers_to_reconciliation_…` |
//! | a state that waits for acknowledgements, or does not | `updates::the_state_moves_on_…` |
//! | a nameless QUOTA_V2 | `wire::the_capability_…` |
//! | metrics that wait for one that hangs | `wire::metrics_come_at_once_…` |
//! | messages of old drivers, named by either header, answered by other than 202 | `drivers`, and `messages` of the transport |
//! | other sentences than Mesos's | `golden_requests`, `golden_endpoints`, `golden_operator` |
//!
//! | program | test |
//! |---|---|
//! | pymesos and what stands on it (Toil) | `pymesos`, `visitors::toils_executor_…` |
//! | mesos-go's executors | `executors::the_environment_of_an_executor_…` |
//! | mesoshttp and avmesos, mesos-framework | `clients` |
//! | mesos-cli of Mesos 1.11 | `visitors::the_command_line_of_mesos_…`, `published::avmesos_cli_…` |
//! | mesos.cli | `visitors::mesos_cli_…`, `published::mesos_cli_…` |
//! | mesos-dns | `monitors::mesos_dns_…` |
//! | mesos_exporter | `monitors::mesos_exporter_…` |
//! | nagios-mesos | `monitors::nagios_…`, `published::nagios_mesos_…` |
//! | the page of Mesos | `visitors::the_page_of_mesos_…` |
//! | mesos-compose, m3s | `visitors::mesos_compose_…`, `wire::events_hold_…` |
//! | mae | `visitors::mae_…`, `published::mae_…` |
//! | mexec | `published::mexec_…` |
//! | telegraf | `monitors::telegraf_…` |
//! | Datadog | `monitors::datadog_…` |

mod monitors;
mod published;
mod updates;
mod visitors;
mod wire;
mod world;
