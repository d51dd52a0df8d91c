"""The preview host: runs what agents wrote, each revision as a process group on a port of its own.

It outlives the flow runs that deploy and is the only writer of the proxy's routes. An old revision serves
until the new one has answered for itself; then one route moves. After a restart of the host or of the proxy,
processes are found again by pid and start time, or started again, and the routes are put back.

    PUT    /apps/{id}/revisions/{sha}   start it, prove it, serve it at its alias
    POST   /apps/{id}/switch            {revision}: the branch's URL goes there, older revisions end
    GET    /apps/{id}                   · GET /apps/{id}/log?tail=N · DELETE /apps/{id} · GET /healthz
"""
