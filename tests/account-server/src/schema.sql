-- The tables. Secrets are here as their SHA-256 alone; moments are milliseconds since 1970.

CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    username TEXT UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

-- A login that is under way: a device waits, a person confirms by link or by code.
CREATE TABLE IF NOT EXISTS logins (
    device_code BLOB PRIMARY KEY,
    email TEXT NOT NULL,
    product TEXT NOT NULL,
    link BLOB NOT NULL UNIQUE,
    code BLOB NOT NULL,
    wrong_codes INTEGER NOT NULL DEFAULT 0,
    user_agent TEXT,
    ip_address TEXT,
    device_name TEXT,
    started_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    authorized_at INTEGER,
    redeemed_at INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS logins_of_an_address ON logins (email, started_at);

CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    user_agent TEXT,
    ip_address TEXT,
    device_id TEXT,
    device_name TEXT,
    refresh_token BLOB NOT NULL,
    replaced_token BLOB,
    replaced_at INTEGER,
    last_used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS sessions_of_a_user ON sessions (user_id);

CREATE TABLE IF NOT EXISTS profiles (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (user_id, slug)
) STRICT;

CREATE TABLE IF NOT EXISTS api_tokens (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    token BLOB NOT NULL UNIQUE,
    token_prefix TEXT NOT NULL,
    profile_id TEXT REFERENCES profiles (id),
    last_used_at INTEGER,
    expires_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS api_tokens_of_a_user ON api_tokens (user_id);

-- Without a profile an item is in the user's own catalog.
CREATE TABLE IF NOT EXISTS catalog_items (
    user_id TEXT NOT NULL REFERENCES users (id),
    profile_id TEXT REFERENCES profiles (id),
    slug TEXT NOT NULL,
    name TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS catalog_of_a_user ON catalog_items (user_id);

CREATE TABLE IF NOT EXISTS microtica_projects (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL
) STRICT;

-- All members may do the same.
CREATE TABLE IF NOT EXISTS microtica_members (
    project_id TEXT NOT NULL REFERENCES microtica_projects (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    PRIMARY KEY (project_id, user_id)
) STRICT;
CREATE INDEX IF NOT EXISTS microtica_projects_of_a_user ON microtica_members (user_id);

CREATE TABLE IF NOT EXISTS microtica_environments (
    id TEXT PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES microtica_projects (id),
    name TEXT NOT NULL,
    UNIQUE (project_id, name)
) STRICT;

CREATE TABLE IF NOT EXISTS microtica_keys (
    id TEXT PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES microtica_projects (id),
    name TEXT NOT NULL,
    key BLOB NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    baseline TEXT NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER,
    created_by TEXT,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS microtica_keys_of_a_project ON microtica_keys (project_id);

CREATE TABLE IF NOT EXISTS microtica_upgrades (
    key_id TEXT NOT NULL REFERENCES microtica_keys (id),
    environment_id TEXT NOT NULL REFERENCES microtica_environments (id),
    role TEXT NOT NULL,
    PRIMARY KEY (key_id, environment_id)
) STRICT;

-- Who did what. Without a prefix it was a person, not a key. What is written stays, whatever becomes of who did it.
CREATE TABLE IF NOT EXISTS microtica_audit (
    id INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES microtica_projects (id),
    actor TEXT NOT NULL,
    prefix TEXT,
    action TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS microtica_audit_of_a_project ON microtica_audit (project_id, id);

-- Who is signed in to the console, by the digest of the cookie.
CREATE TABLE IF NOT EXISTS console_sessions (
    secret BLOB PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    expires_at INTEGER NOT NULL
) STRICT;
