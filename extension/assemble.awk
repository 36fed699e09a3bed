# Pastes the parts named in the manifest into one script, in the manifest's order.
#
#   find sql -name '*.sql' | awk -v manifest=sql/quantumflow.sql -v version=0.4.0 -f assemble.awk
#
# Every \ir line is replaced by its file, under a line "-- Source: sql/..." that leads an error's
# position back to the file. @version@ becomes the version. It fails when a listed file is missing
# or listed twice, when a file is not listed, and when the manifest holds anything but prose and \ir.

function fail(text) {
  print manifest ": " text > "/dev/stderr"
  failed = 1
}

$0 != manifest { found[$0] = 1 }

END {
  folder = manifest
  sub(/[^\/]*$/, "", folder)

  print "-- quantumflow " version ", assembled from extension/" manifest ". Edit the parts, not this file."
  while ((getline line < manifest) > 0) {
    if (line ~ /^\\ir [^ ]+$/) {
      part = folder substr(line, 5)
      if (part in listed) fail("lists " part " twice")
      listed[part] = 1
      if (!(part in found)) { fail("lists " part ", which does not exist"); continue }
      print "\n-- Source: " part
      while ((getline text < part) > 0) {
        gsub(/@version@/, version, text)
        print text
      }
      close(part)
    } else if (line !~ /^(--.*)?$/) {
      fail("neither a comment nor \"\\ir <part>\": " line)
    }
  }

  for (part in found)
    if (!(part in listed)) fail("does not list " part)
  exit failed
}
