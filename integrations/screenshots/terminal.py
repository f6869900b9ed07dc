"""Draws terminal.svg: the terminal during a login and the first request of a tool.

    cargo build --workspace
    dbus-run-session -- python3 integrations/screenshots/terminal.py [DIRECTORY OF THE PROGRAMS]

Runs the real programs on a pseudo-terminal with a keyring, against the account service on this machine. Reads the code in its
inbox and types it. The program clears the line that waits for the code, so the drawing does not show it. The drawing shows the
temporary home directory as /home/ada.
"""

import fcntl
import html
import os
import pathlib
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
import urllib.request

SERVICE = "http://127.0.0.1:8787"
COMMANDS = [
    "my-credential-helper login --email ada@example.com --username ada",
    "my-credential-helper setup git --host git.acme.dev --yes",
    "echo url=https://git.acme.dev/app.git | git credential fill | cut -c 1-60",
]
COLUMNS, GLYPH, LINE, MARGIN = 114, 7.8, 19, 18


def code_in_inbox():
    """Returns the six digits of the newest email, or None."""
    page = urllib.request.urlopen(f"{SERVICE}/inbox").read().decode()
    found = re.search(r"\b(\d{3}) ?(\d{3})\b", re.sub("<[^>]+>", " ", page))
    return "".join(found.groups()) if found else None


def show(command, environment):
    """Runs a command on a terminal and returns its lines; types the code when prompted."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve("/bin/sh", ["sh", "-c", command], environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 40, COLUMNS, 0, 0))
    output, code = b"", None
    while True:
        if select.select([terminal], [], [], 1)[0]:
            try:
                output += os.read(terminal, 4096)
            except OSError:  # the other end is closed
                break
        if code is None and b"code:" in output and (code := code_in_inbox()):
            time.sleep(0.5)
            os.write(terminal, code.encode())
    assert os.waitpid(child, 0)[1] == 0, f"{command}: {output.decode()}"
    return [re.split(r"\r\x1b\[2K", line)[-1] for line in output.decode().replace("\r\n", "\n").rstrip("\n").split("\n")]


def draw(lines):
    """Draws the lines as an SVG with any monospaced font; a long line is broken as on a terminal."""
    rows = [(line[at : at + COLUMNS], line.startswith("$ ")) for line in lines for at in range(0, max(len(line), 1), COLUMNS)]
    width, height = COLUMNS * GLYPH + 2 * MARGIN, len(rows) * LINE + 2 * MARGIN
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" width="{width:g}" height="{height}">'
    yield "<title>A login, and a tool that asks</title>"
    yield "<style>text{font:13px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#d6dbe1;white-space:pre}.c{fill:#7ee0a5}</style>"
    yield '<rect width="100%" height="100%" rx="8" fill="#161b22" stroke="#6e7681"/>'
    for number, (row, is_command) in enumerate(rows):
        style = ' class="c"' if is_command else ""
        length = f' textLength="{len(row) * GLYPH:g}" lengthAdjust="spacingAndGlyphs"' if row else ""
        yield f'<text x="{MARGIN}" y="{MARGIN + LINE * (number + 0.75):g}"{style}{length} xml:space="preserve">{html.escape(row)}</text>'
    yield "</svg>"


def main():
    programs = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "target/debug").resolve()
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        (home / ".local/bin").mkdir(parents=True)
        (home / ".local/bin/my-credential-helper").symlink_to(programs / "my-credential-helper")
        (home / ".my").mkdir(mode=0o700)
        (home / ".my/config.json").write_text(f'{{"api_url":"{SERVICE}"}}')
        kept = {"DBUS_SESSION_BUS_ADDRESS": os.environ["DBUS_SESSION_BUS_ADDRESS"], "XDG_RUNTIME_DIR": folder}
        environment = kept | {"HOME": folder, "TERM": "xterm-256color", "LANG": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0"}
        environment["PATH"] = f"{folder}/.local/bin:/usr/bin:/bin"
        keyring = ["gnome-keyring-daemon", "--unlock", "--components=secrets"]
        subprocess.run(keyring, input=b"a password", env=environment, check=True, stdout=subprocess.DEVNULL)
        service = subprocess.Popen([programs / "account-server", "serve"], stdout=subprocess.DEVNULL)
        time.sleep(1)
        try:
            lines = []
            for command in COMMANDS:
                lines += [f"$ {command}", *show(command, environment), ""]
        finally:
            service.terminate()
    picture = "\n".join(draw(line.replace(folder, "/home/ada") for line in lines[:-1])) + "\n"
    pathlib.Path(__file__).with_suffix(".svg").write_text(picture)


if __name__ == "__main__":
    main()
