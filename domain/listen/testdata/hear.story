# people, in any case, the whole text
listen match="roll call"
----
listening to ns/l

hear text="Roll Call"
----
heard

hear text="  roll call "
----
heard

hear text="a roll call"
----
nothing

hear text="roll call" bot=B1
----
nothing

hear text="roll call" edited=yes
----
nothing

hear text="roll call" deleted=yes
----
nothing

# what holds a word, and parts of the text
listen match=".*deploy (?P<ref>[\w.]+)( on (?P<host>\w+))?.*"
----
listening to ns/l

hear text="please deploy v1.2 on anvil, thanks"
----
heard host="anvil" ref="v1.2"

hear text="please deploy v1.2"
----
heard ref="v1.2"

hear text="two lines\ndeploy main &amp; go"
----
heard ref="main"

# a bot that is named, by its own id or its app's, and nobody else
listen match=".*passed.*" bots=B1,A2
----
listening to ns/l

hear text="build passed"
----
nothing

hear text="build passed" bot=B1
----
heard

hear text="build passed" bot=B9 app=A2
----
heard

hear text="build passed" bot=B9
----
nothing

hear text=CI attachment="build passed" bot=B1
----
nothing

# the text of attachments
listen match="build (?P<n>\d+) passed" bots=B1 attachments=yes
----
listening to ns/l

hear text=CI attachment="build 7 passed" bot=B1
----
heard in an attachment n="7"

hear text="build 8 passed" attachment="build 7 passed" bot=B1
----
heard n="8"

# bots and people
listen match=go bots=B1 people=yes
----
listening to ns/l

hear text=go
----
heard

hear text=go bot=B1
----
heard

# edits as well
listen match=go edits=yes
----
listening to ns/l

hear text=go edited=yes
----
heard

hear text=go
----
heard

# removals, and nothing else
listen match=go deletes=yes
----
listening to ns/l

hear text=go deleted=yes
----
heard

hear text=go
----
nothing
