// Preloaded into the suite's origin: listen on the loopback only, and keep idle connections longer
// than any proxy does, so that none is closed while a request is on its way.
const http = require('http')
const create = http.createServer
http.createServer = handler => {
  const server = create(handler)
  server.keepAliveTimeout = 120000
  const listen = server.listen.bind(server)
  server.listen = port => listen(Number(port), '127.0.0.1')
  return server
}
