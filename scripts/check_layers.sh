#!/bin/bash
# Who may include whom: checks every #include of lib/, formats/, passes/, tools/ and include/ against
# docs/layers.txt, whose first lines describe its format.
set -euo pipefail
cd "$(dirname "$0")/.."

find lib formats passes tools include \( -name '*.h' -o -name '*.cpp' \) -print | sort |
awk -v table=docs/layers.txt '
  function complain(text) { print FILENAME_NOW ":" line_number ": error: " text; bad++ }

  # Adds to reach[root, ...] all that `name` may include, itself among it.
  function close_over(root, name,   i, n, parts) {
    if ((root, name) in reach) return
    reach[root, name] = 1
    n = split(direct[name], parts, " ")
    for (i = 1; i <= n; i++) if (parts[i] !~ /^</) close_over(root, parts[i])
  }

  # The longest name of the table that is a folder of `path`, or "".
  function folder_of(path) {
    while (path != "") {
      if (path in direct) return path
      if (path !~ /\//) return ""
      sub(/\/[^\/]*$/, "", path)
    }
    return ""
  }

  function check_file(file,   path, folder, line, target, root, own) {
    FILENAME_NOW = file
    line_number = 0
    path = file
    sub(/^lib\//, "", path)
    folder = folder_of(path)
    if (folder == "") { complain("its folder is not in " table); return }
    while ((getline line < file) > 0) {
      line_number++
      if (line !~ /^[ \t]*#[ \t]*include[ \t]*["<]/) continue
      sub(/^[ \t]*#[ \t]*include[ \t]*/, "", line)
      target = line
      if (line ~ /^"/) {
        sub(/^"/, "", target); sub(/".*/, "", target)
        if (target ~ /_generated\.h$/) continue  # made by the build, in the folder that includes it
        own = folder_of(target)
        if (own == "") complain("\"" target "\" is not a path from lib/ or the root")
        else if (!((folder, own) in reach)) complain(folder " may not include " own " (\"" target "\")")
      } else {
        sub(/^</, "", target); sub(/>.*/, "", target)
        root = target
        sub(/\/.*/, "", root)
        root = "<" root ">"
        if (root in third_party && index(" " direct[folder] " ", " " root " ") == 0)
          complain(folder " may not include " root)
      }
    }
    close(file)
    checked++
  }

  BEGIN {
    while ((getline line < table) > 0) {
      sub(/#.*/, "", line)
      if (line !~ /:/) continue
      name = line; sub(/:.*/, "", name); gsub(/[ \t]/, "", name)
      rest = line; sub(/^[^:]*:/, "", rest)
      direct[name] = rest
      n = split(rest, parts, " ")
      for (i = 1; i <= n; i++) if (parts[i] ~ /^</) third_party[parts[i]] = 1
    }
    for (name in direct) {
      n = split(direct[name], parts, " ")
      for (i = 1; i <= n; i++)
        if (parts[i] !~ /^</ && !(parts[i] in direct)) {
          print table ": error: " name " names " parts[i] ", which has no line"
          bad++
        }
    }
    for (name in direct) close_over(name, name)
    for (name in direct)
      for (other in direct)
        if (name != other && (name, other) in reach && (other, name) in reach) {
          print table ": error: " name " and " other " may include each other"
          bad++
        }
  }
  { check_file($0) }
  END {
    if (checked == 0) { print "check_layers: no files found"; exit 1 }
    if (bad) { print "check_layers: " bad " errors"; exit 1 }
    print "check_layers: " checked " files obey " table
  }'
