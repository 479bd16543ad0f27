-- Random traffic: many paths with a few that are popular, queries, users, ranges, conditions,
-- bodies, and now and then a connection that ends. No HEAD: wrk would wait for a body.
math.randomseed(20260101)
local random = math.random

function request()
  local headers = { ["X-User"] = "u" .. random(1, 50000), ["Accept-Encoding"] = "gzip" }
  local path
  local kind = random(100)
  if kind <= 60 then
    path = "/item/" .. math.floor(20000 * random() ^ 3)
  elseif kind <= 75 then
    path = "/search?q=" .. random(1, 1000000)
  elseif kind <= 90 then
    path = "/large?page=" .. random(1, 5000)
  else
    path = "/big?part=" .. random(1, 50)
    headers["Range"] = "bytes=" .. random(0, 1000) .. "-" .. random(1001, 100000)
  end
  if random(20) == 1 then headers["If-None-Match"] = '"x' .. random(100) .. '"' end
  if random(50) == 1 then headers["Cache-Control"] = "no-cache" end
  if random(200) == 1 then headers["Connection"] = "close" end
  if random(30) == 1 then
    return wrk.format("POST", "/item/" .. random(20000), headers, string.rep("b", random(4000)))
  end
  return wrk.format("GET", path, headers)
end
