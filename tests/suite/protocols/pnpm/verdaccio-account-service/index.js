// Verdaccio takes the Bearer tokens that the account service issued, and nothing else.
class AccountService {
  constructor({ url }) {
    this.url = url
  }

  apiJWTmiddleware({ createAnonymousRemoteUser, createRemoteUser }) {
    return async (request, response, next) => {
      // The body must wait until the service has answered.
      request.pause()
      const user = await this.owner(request.headers.authorization ?? '')
      request.remote_user = user ? createRemoteUser(user, []) : createAnonymousRemoteUser()
      response.locals.remote_user = request.remote_user
      request.resume()
      next()
    }
  }

  async owner(authorization) {
    const answer = await fetch(this.url, { headers: { authorization } })
    if (!answer.ok) return undefined
    // `sub` in OpenID Connect.
    const { id, sub } = await answer.json()
    return id ?? sub
  }

  // There are no passwords.
  authenticate(user, password, done) {
    done(null, false)
  }
}

module.exports = (config) => new AccountService(config)
