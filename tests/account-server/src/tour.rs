//! A walk through the helper's commands against a service of its own.
